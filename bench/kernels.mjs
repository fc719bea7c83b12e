// How fast a model of Phi-3-mini's geometry is on our native runner, beside our stock one, onnxruntime-genai and
// llama.cpp, all taking turns in one run on an otherwise idle machine. `npm run bench -- kernels --help` says what it takes.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bars } from "./kernels-bars.mjs";
import { charts } from "./kernels-charts.mjs";
import { composed, decode, fill, prefill } from "./kernels-measure.mjs";
import { operatorFigures } from "./kernels-operators.mjs";
import { sides as known, Sides } from "./kernels-sides.mjs";
import { defaultCache, genaiPython, ggufModel, llamaModule, onnxModel } from "./peers/install.mjs";
import { writeReport } from "./report.mjs";
import { machine } from "./service.mjs";
import { figuresTable, judge, summary } from "./table.mjs";

const help = `npm run bench -- kernels [options]
  --quick            only the figures that have a bar, in fewer rounds: under ten minutes in place of about an hour
  --threads N        of each side (2)
  --cache FOLDER     where the models and the peers are kept (${defaultCache()})
  --onnx FOLDER      the model, in place of the one made in the cache
  --gguf FILE        the same for llama.cpp
  --scales bf16|f32  of the made model: bfloat16 numbers as those of a quantised bf16 checkpoint (bf16), or any
  --python PYTHON    one that has onnxruntime-genai, in place of an environment made in the cache
  --llama FOLDER     where node-llama-cpp is installed, in place of the cache
  --only PARTS       some of: load,prefill,decode,avx2,operators. The bars of the others are left out
  --out FOLDER       where the table and the charts go (bench/results)
Everything else must be idle: a busy neighbour slows the sides that wait for each other's threads most.`;

const options = {
  quick: { type: "boolean", default: false },
  threads: { type: "string", default: "2" },
  cache: { type: "string", default: defaultCache() },
  onnx: { type: "string" },
  gguf: { type: "string" },
  scales: { type: "string", default: "bf16" },
  python: { type: "string" },
  llama: { type: "string" },
  only: { type: "string", default: "load,prefill,decode,avx2,operators" },
  out: { type: "string", default: fileURLToPath(new URL("results", import.meta.url)) },
  help: { type: "boolean", default: false },
};
const everyone = ["native f16", "native f32", "stock", "genai", "llama auto", "llama off", "llama q8"];
// In a quick run: of llama.cpp the variants that full runs have found the best.
const quickly = {
  prefill: ["native f16", "genai", "llama auto"],
  decode: ["native f16", "genai", "llama off", "llama q8"],
  long: ["native f16", "genai", "llama off"],
};

/** Runs the bench. @returns the exit code: 1 when a bar does not hold */
export async function main(args) {
  const { values } = parseArgs({ args, options });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const { quick, cache } = values;
  mkdirSync(cache, { recursive: true });
  const paths = {
    onnx: values.onnx ?? onnxModel(cache, values.scales),
    gguf: values.gguf ?? ggufModel(cache),
    python: values.python ?? genaiPython(cache),
    llama: values.llama ?? llamaModule(cache),
    // Emptied before and after, so that this run's first load is one.
    packed: join(cache, "packed"),
  };
  rmSync(paths.packed, { recursive: true, force: true });
  const parts = values.only.split(",");
  const sides = new Sides(paths, Number(values.threads));
  const started = performance.now();
  const run = { sides, quick, figures: [], versions: {} };
  try {
    if (parts.includes("load")) await measureLoads(run);
    if (parts.includes("prefill")) await measurePrefill(run);
    if (parts.includes("decode")) await measureDecode(run);
    if (parts.includes("avx2")) await measureAvx2(run);
    await sides.stopAll();
    if (parts.includes("operators") && !quick) {
      for (const figure of await operatorFigures(Number(values.threads))) report(run, figure);
    }
  } finally {
    await sides.stopAll();
    rmSync(paths.packed, { recursive: true, force: true });
  }
  const minutes = ((performance.now() - started) / 60_000).toFixed(0);
  const circumstances = `${values.threads} threads on each side, ${values.scales} scales, ${quick ? "quick" : "full"}, ${minutes} minutes`;
  return write(values.out, run, judge(barsOf(parts), run.figures), machine(circumstances));
}

/** Those of the parts that were asked for. */
function barsOf(parts) {
  const part = ({ figure, ours }) => {
    if (ours === "native avx2") return "avx2";
    return ["prefill", "decode"].find((name) => figure.startsWith(name)) ?? "load";
  };
  return bars.filter((bar) => parts.includes(part(bar)));
}

/** Loads, and the memory of each process while it holds a prompt, without keys and values. */
async function measureLoads(run) {
  const { sides, quick } = run;
  const context = 256;
  const first = { id: "first load", title: "first load (ours packs the weights)", unit: "ms", sides: {} };
  const second = { id: "second load", title: "second load", unit: "ms", sides: {} };
  const memory = { id: "private memory", title: "private memory without KV", unit: "bytes", sides: {} };
  const kv = { id: "kv per token", title: "KV memory per token", unit: "bytes", sides: {} };
  /** A side's process loads in peace, unless it is there. */
  const load = async (name) => {
    try {
      return await sides.facts(name);
    } catch (error) {
      for (const { sides: found } of [first, second, memory, kv]) found[name] = { absent: error.message };
      return undefined;
    }
  };
  // The variants of llama.cpp are one process, and both types of cache of ours load alike.
  const processes = ["native f16", "stock", "genai", "llama auto"];
  for (const name of Object.keys(known).filter((one) => one !== "native avx2")) {
    if (quick && (name === "stock" || name === "native f32")) continue;
    const facts = await load(name);
    if (!facts) continue;
    run.versions[name] = facts.version;
    const perToken = facts.kvBytesPerToken ?? known[name].kv;
    kv.sides[name] = summary([perToken]);
    if (name === "native int8") await sides.stop(name);
    if (!processes.includes(name)) continue;
    first.sides[name] = summary([facts.loadMs]);
    if (quick && name !== "native f16") continue;
    const again = [];
    for (let i = 0; i < 3; i += 1) {
      await sides.stop(name);
      again.push((await load(name))?.loadMs);
    }
    second.sides[name] = summary(again);
    await fill(sides, name, { batch: 1, context, steps: 1, room: 1 });
    const { privateBytes } = await sides.ask(name, { do: "memory" });
    memory.sides[name] = summary([privateBytes - context * perToken]);
    await sides.ask(name, { do: "release" });
  }
  for (const figure of [first, second, memory, kv]) report(run, figure);
}

async function measurePrefill(run) {
  const names = run.quick ? quickly.prefill : everyone;
  await prefill(run.sides, names, 32, 1); // warm-up
  for (const tokens of run.quick ? [256] : [32, 64, 128, 256, 512, 1024]) {
    const rounds = run.quick ? 2 : tokens > 256 ? 2 : 4;
    report(run, await prefill(run.sides, names, tokens, rounds));
  }
}

async function measureDecode(run) {
  const { sides, quick } = run;
  if (quick) {
    const { decode: names, long } = quickly;
    for (const figure of await decode(sides, names, 256, [1, 4, 8], { rounds: 3, steps: 5 })) report(run, figure);
    for (const figure of await decode(sides, long, 2048, [1], { rounds: 4, steps: 5 })) report(run, figure);
    report(run, composed(run.figures, 8, 256, 2048));
    return;
  }
  for (const context of [32, 256]) {
    const figures = await decode(sides, everyone, context, [1, 2, 4, 8, 16], { rounds: 4, steps: 6 });
    for (const figure of figures) report(run, figure);
  }
  const names = everyone.filter((name) => name !== "stock");
  for (const figure of await decode(sides, names, 2048, [1, 2, 4, 8, 16], { rounds: 3, steps: 6 })) report(run, figure);
}

/** Ours with its AVX2 code. */
async function measureAvx2(run) {
  const name = "native avx2";
  await prefill(run.sides, [name], 32, 1);
  const figure = await prefill(run.sides, [name, "genai"], 256, run.quick ? 2 : 4);
  const { kernels } = await run.sides.facts(name);
  if (kernels !== "avx2") figure.sides[name] = { absent: `it ran ${kernels}` };
  report(run, { ...figure, id: "prefill 256 avx2", title: "prefill 256 tokens, AVX2 forced" });
}

function report(run, figure) {
  run.figures.push(figure);
  console.log(figuresTable([figure], Object.keys(figure.sides)).split("\n").toSpliced(1, 1).join("\n"));
}

/** Writes the table and the charts and prints the bars. @returns the exit code */
function write(folder, { figures, versions, quick }, rows, circumstances) {
  const names = Object.keys(known).filter((side) => figures.some(({ sides }) => sides[side] !== undefined));
  const [operators, models] = [true, false].map((is) => figures.filter(({ operator }) => Boolean(operator) === is));
  return writeReport(folder, {
    name: quick ? "kernels-quick" : "kernels",
    title: "The native operators beside other ways to run the same model",
    command: `npm run bench -- kernels${quick ? " --quick" : ""}`,
    circumstances,
    notes,
    versions,
    rows,
    figures,
    sections: [
      { heading: "Figures", figures: models, sides: names },
      { heading: "Operators", figures: operators, sides: ["ours", "ours f32", "onnxruntime"] },
    ],
    charts: charts(figures),
  });
}

const notes =
  "The weights are random, of Phi-3-mini's exact geometry; int4 in blocks of 32 (llama.cpp: Q4_0). The sides take turns, " +
  "one at a time, with 0.4 s between turns in which threads go to sleep; genai has ONNX Runtime's spinning threads during " +
  "its turn, ours has none. A decode step of ours and of genai takes the likeliest token, one of llama.cpp takes nothing. " +
  "A figure without a value says why. A composed one, in a quick run, is batch 8 at context 256 and eight times what batch 1 " +
  "takes more at 2048 than at 256: genai needs a quarter of an hour to fill eight sequences of 2048 tokens.";
