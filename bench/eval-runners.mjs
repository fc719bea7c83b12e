// Asks the bundled model every question of its evaluation on the stock runner and on the native one, and compares the
// tokens of all answers:
//   npm run build && node bench/eval-runners.mjs
// It fails when an answer of the native runner has another token with 32-bit or 16-bit keys and values. What 8-bit ones
// change is told, and is why they are not the default; it fails when they cost right answers.
import { evaluate, isRight } from "./evaluation.mjs";

const stock = await evaluate(undefined, ["--runner", "stock"]);
console.log(`figure: ${stock.tokens} tokens on the stock runner`);
for (const [cacheType, exact] of [
  ["float32", true],
  ["float16", true],
  ["int8", false],
]) {
  const native = await evaluate(undefined, ["--runner", "native", "--cache-type", cacheType]);
  const pairs = [...stock.answers].flatMap(([file, answers]) =>
    answers.map((answer, i) => [answer, native.answers.get(file)[i]]),
  );
  const different = pairs.filter(([a, b]) => a.tokenIds.join() !== b.tokenIds.join());
  const right = (of) => pairs.filter((pair) => isRight(pair[of].text, pair[of].question)).length;
  const same = `${pairs.length - different.length} of ${pairs.length} answers have the same tokens`;
  console.log(
    `figure: native (${native.loaded.runner.kernels}), ${cacheType}: ${same}; right ${right(1)}, stock ${right(0)}`,
  );
  for (const [a, b] of different.slice(0, 5)) console.log(`  ${JSON.stringify(a.text)} → ${JSON.stringify(b.text)}`);
  if (exact ? different.length > 0 : right(1) < right(0) - pairs.length / 1000) process.exitCode = 1;
}
