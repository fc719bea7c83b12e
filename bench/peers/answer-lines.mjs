// What the bench's own child processes share: the first line of standard output says what was loaded and how, then one
// JSON object answers each of standard input. A process that is not asked sleeps on its standard input.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * @param load gives the thing that is measured; its `facts` are told.
 * @param measurements by name, of that thing and the line's other fields; what they throw is the answer's `error`.
 */
export async function answerLines(load, measurements) {
  const started = performance.now();
  const thing = await load();
  say({ loadMs: performance.now() - started, privateBytes: privateBytes(), ...thing.facts });
  const all = { memory: () => ({ privateBytes: privateBytes() }), ...measurements };
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      say(await all[request.do](thing, request));
    } catch (error) {
      say({ error: error instanceof Error ? error.message : String(error) });
    }
  }
  // Native libraries that have threads of their own would hold the process.
  process.exit(0);
}

/** Token ids at random, always the same of a seed. */
export function prompt(tokens, seed) {
  let state = (seed + 1) * 2_654_435_761;
  return Array.from({ length: tokens }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return 300 + ((state >>> 8) % 30_000);
  });
}

/** Memory of this process that no other shares. */
export function privateBytes() {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
}

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
