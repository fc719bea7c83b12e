// How the engine serves a model of Phi-3-mini's exact geometry, in process and through gRPC, beside onnxruntime-genai,
// llama.cpp and a plain onnxruntime-node loop, all taking turns in one run on an otherwise idle machine.
// `npm run bench -- engine --help` says what it takes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bars } from "./engine-bars.mjs";
import { charts } from "./engine-charts.mjs";
import { concurrent, figure, heavy, overhead, prefill, ragged } from "./engine-measure.mjs";
import { conversation, sharedPrompt, speculation, stall } from "./engine-ours.mjs";
import { sides as known, llama, ours, Sides } from "./engine-sides.mjs";
import * as loads from "./loads.mjs";
import { defaultCache, genaiPython, ggufModel, llamaModule, onnxModel } from "./peers/install.mjs";
import { writeReport } from "./report.mjs";
import { machine } from "./service.mjs";
import { figuresTable, judge, summary } from "./table.mjs";

/** In the order in which they are measured. */
const parts = ["overhead", "speculation", "stall", "prefix", "concurrent", "prefill", "ragged", "heavy"];

const help = `npm run bench -- engine [options]
  --quick            shorter loads (of the ragged one a quarter of everything) and fewer rounds: under ten minutes in place
                     of about fifty
  --threads N        of each side (2)
  --only PARTS       some of: ${parts.join(",")}. The bars of the others are left out
  --ours             only our own sides: bars over peers are left out
  --cache FOLDER     where the models and the peers are kept (${defaultCache()})
  --onnx FOLDER      the model, in place of the one made in the cache
  --gguf FILE        the same for llama.cpp
  --python PYTHON    one that has onnxruntime-genai, in place of an environment made in the cache
  --llama FOLDER     where node-llama-cpp is installed, in place of the cache
  --packed FOLDER    our packed weights, in place of the cache
  --out FOLDER       where the table and the charts go (bench/results)
It takes about 8 GB on the disk besides the models while it runs. Everything else must be idle.`;

const options = {
  quick: { type: "boolean", default: false },
  threads: { type: "string", default: "2" },
  only: { type: "string", default: parts.join(",") },
  ours: { type: "boolean", default: false },
  cache: { type: "string", default: defaultCache() },
  onnx: { type: "string" },
  gguf: { type: "string" },
  python: { type: "string" },
  llama: { type: "string" },
  packed: { type: "string" },
  out: { type: "string", default: fileURLToPath(new URL("results", import.meta.url)) },
  help: { type: "boolean", default: false },
};

/** Runs the bench. @returns the exit code: 1 when a bar does not hold */
export async function main(args) {
  const { values } = parseArgs({ args, options });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const asked = values.only.split(",");
  const unknown = asked.filter((part) => !parts.includes(part));
  if (unknown.length > 0) throw new Error(`--only knows no ${unknown.join(", ")}: ${parts.join(", ")}`);
  const sides = new Sides(pathsOf(values), Number(values.threads));
  const started = performance.now();
  const run = { sides, quick: values.quick, peers: !values.ours, figures: [], memory: {}, starts: {} };
  // Who breaks it off does not want 5 GB of temporary files.
  const leave = () => sides.stopAll().finally(() => process.exit(1));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, leave);
  try {
    for (const part of parts.filter((one) => asked.includes(one))) await measure[part](run);
    report(run, footprint(run));
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, leave);
    await sides.stopAll();
  }
  const minutes = ((performance.now() - started) / 60_000).toFixed(0);
  const kind = values.quick ? "quick" : "full";
  const circumstances = `${values.threads} threads on each side, ${kind}, ${minutes} minutes`;
  const mine = bars.filter(({ part, against }) => asked.includes(part) && !(values.ours && against?.every(isPeer)));
  return write(values.out, run, judge(mine, run.figures), machine(circumstances));
}

function pathsOf({ cache, ...values }) {
  mkdirSync(cache, { recursive: true });
  const peer = (given, make) => given ?? (values.ours ? undefined : make(cache));
  return {
    onnx: values.onnx ?? onnxModel(cache, "bf16"),
    gguf: peer(values.gguf, ggufModel),
    python: peer(values.python, genaiPython),
    llama: peer(values.llama, llamaModule),
    packed: values.packed ?? join(cache, "packed-engine"),
  };
}

function isPeer(name) {
  return /^(genai|llama|node)/.test(name);
}

/** The variant of llama.cpp in a quick run: the best of them with several sequences at short contexts. */
const quickly = ["llama q8"];

const measure = {
  async overhead(run) {
    const { sides, quick } = run;
    const sizes = quick
      ? { 1: { rounds: 10, steps: 20 }, 8: { rounds: 2, steps: 32 } }
      : { 1: { rounds: 20, steps: 24 }, 8: { rounds: 12, steps: 64 } };
    for (const [batch, size] of Object.entries(sizes)) report(run, await overhead(sides, Number(batch), size));
  },

  async speculation(run) {
    const { sides, quick } = run;
    const n = { repeating: quick ? 64 : 160, random: quick ? 32 : 64 };
    const rounds = { repeating: quick ? 1 : 4, random: quick ? 3 : 16 };
    report(run, await speculation(sides, { n, rounds }));
    await sides.stop("in process");
  },

  async stall(run) {
    const { sides, quick } = run;
    for (const batch of [1, 4]) {
      const tokens = quick && batch === 1 ? 500 : 2000;
      report(run, await stall(sides, batch, { tokens, before: quick ? 24 : 100 }));
    }
  },

  async prefix(run) {
    const { sides, quick } = run;
    report(run, await conversation(sides, { turns: 10, tokens: 64, n: quick ? 8 : 32 }));
    report(run, await sharedPrompt(sides, { tokens: 1000, rounds: quick ? 1 : 5 }));
  },

  async concurrent(run) {
    const { sides, quick } = run;
    const size = quick ? { n: 16, rounds: 1 } : { n: 48, rounds: 3 };
    const peers = {
      1: ["node loop", "genai one", ...(quick ? [] : llama)],
      4: quick ? [] : ["genai engine", ...llama],
      8: quick ? [] : ["genai engine", ...llama],
    };
    for (const requests of quick ? [1, 16] : [1, 2, 4, 8, 16])
      report(run, await concurrent(sides, requests, [ours, ...peersOf(run, peers[requests] ?? [])], size));
  },

  async prefill(run) {
    const { sides, quick } = run;
    const peers = quick ? ["genai one"] : ["node loop", "genai one", ...llama];
    for (const tokens of quick ? [256] : [64, 256, 1024])
      report(run, await prefill(sides, tokens, [ours, ...peersOf(run, peers)], quick ? 1 : 3));
    await sides.stop("node loop");
  },

  async ragged(run) {
    const { sides, quick } = run;
    const load = quick ? loads.scaled(loads.ragged, 1 / 4) : loads.ragged;
    const peers = peersOf(run, ["genai one", "genai engine", ...(quick ? quickly : llama)]);
    const played = async (name) => {
      const { process: key } = known[name];
      const side = await sides.side(name);
      run.memory[key] = await sides.memory(name);
      run.starts[key] = side.facts.startMs ?? side.startMs;
      if (name === "genai engine") await sides.stop(name);
    };
    report(run, await ragged(sides, load, [ours, ...peers], played));
  },

  async heavy(run) {
    const { sides, quick } = run;
    const size = quick ? { n: 32, rounds: 1, single: 2 } : { n: 192, rounds: 2, single: 8 };
    report(run, await heavy(sides, [ours, ...peersOf(run, quick ? quickly : llama)], size));
  },
};

function peersOf({ peers }, names) {
  return peers ? names : [];
}

/** Memory of each process behind the ragged load, and how long it took to start. */
function footprint({ memory, starts }) {
  const all = (of) => Object.fromEntries(Object.entries(of).map(([key, value]) => [key, summary([value])]));
  const bytes = (kind) => all(Object.fromEntries(Object.entries(memory).map(([key, one]) => [key, one[kind]])));
  return Object.keys(memory).length === 0
    ? []
    : [
        figure("private memory", "private memory behind the ragged load, KV included", "bytes", bytes("private")),
        figure("resident memory", "resident memory, mapped files included", "bytes", bytes("resident")),
        figure("start", "from the start of the process to the loaded model", "ms", all(starts)),
      ];
}

function report(run, figures) {
  run.figures.push(...figures);
  const names = new Set(figures.flatMap((one) => Object.keys(one.sides)));
  if (figures.length > 0) console.log(`${figuresTable(figures, [...names])}\n`);
}

/** Tables of the result, by the beginnings of the ids of their figures. */
const tables = [
  ["Overhead", ["step", "pause", "added"], ["bare runner", "in process", ours]],
  ["Loads", ["ragged", "heavy"], [ours, "one at a time", "genai one", "genai engine", ...llama]],
  ["So many requests at once", ["concurrent"], [ours, "node loop", "genai one", "genai engine", ...llama]],
  ["Prompts", ["prefill"], [ours, "node loop", "genai one", ...llama]],
  ["Beside a long prompt", ["stall"], [ours]],
  ["Computed before", ["conversation", "shared"], [ours, "first caller"]],
  ["Guessing ahead", ["steps", "rate", "lost"], ["guessing", "plain"]],
  ["Memory and start", ["private", "resident", "start"], [ours, "genai", "llama"]],
];

function write(folder, { sides, figures, quick }, rows, circumstances) {
  const sections = tables.map(([heading, beginnings, names]) => {
    const shown = figures.filter(({ id }) => beginnings.includes(id.split(" ")[0]));
    const found = names.filter((name) => shown.some((one) => one.sides[name] !== undefined));
    return { heading, figures: shown, sides: found };
  });
  return writeReport(folder, {
    name: quick ? "engine-quick" : "engine",
    title: "The engine beside other ways to serve the same model",
    command: `npm run bench -- engine${quick ? " --quick" : ""}`,
    circumstances,
    notes,
    versions: sides.versions,
    rows,
    figures,
    sections,
    charts: charts(figures),
  });
}

const notes =
  "The weights are random, of Phi-3-mini's exact geometry; int4 in blocks of 32 (llama.cpp: Q4_0). Prompts are random " +
  "token ids, the same for every side. Answers are greedy and have exactly so many tokens: ours ignore the ending token, " +
  "genai's have a least length, a step of llama.cpp takes nothing and goes on with random tokens. Ours is asked over gRPC by the " +
  "process that measures, on the same two cores; the peers are asked in their own process and measure themselves. Of llama.cpp " +
  "one call holds a token of every row that decodes and prompts up to 512 tokens. What is added to the bare runner's step is " +
  "taken round by round. Random weights soon run in circles, which guessing ahead would profit from and the peers would not: " +
  "ours have a repetition penalty of 10. They do not repeat their prompt either: for guessing ahead the tokens of the answer are a script's, " +
  "whose logits are raised behind the model, which computes all that it is asked for.";
