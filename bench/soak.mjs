// A service under two thousand mixed requests with cancels, deadlines and slow readers, and what must hold afterwards:
//   npm run soak [-- --requests N] [--seed N] [--at-a-time N] [--alone N] [--only NUMBER]
// Every answer that came to its end is the same, to the last bit of its log-probabilities, as that of the same request alone
// on another service that guesses nothing ahead, keeps no beginnings and computes one sequence at a time; what came of a
// cancelled one is a beginning of it. Every place is free, memory is flat, and no invariant of the engine was broken.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ApiError, Code, createClient } from "@modelwire/client";
import { median, printMachine, startService } from "./service.mjs";
import { formats, requestOf } from "./soak-requests.mjs";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    "at-a-time": { type: "string", default: "32" },
    /** So many are asked again alone; all when absent. */
    alone: { type: "string", default: "Infinity" },
    /** Only this request, and what it was answered both times. */
    only: { type: "string" },
  },
});
const [count, seed, atATime, mostAlone] = [values.requests, values.seed, values["at-a-time"], values.alone].map(Number);
/** How much more memory the service may have in the last quarter of the requests than in the one before, in MiB. */
const FLAT_MIB = 24;

// Whoever breaks an invariant ends the engine, and with it every request.
process.env.MODELWIRE_CHECK_INVARIANTS = "1";
process.env.NODE_OPTIONS = `--require ${fileURLToPath(new URL("soak-gc.cjs", import.meta.url))}`;
const folder = mkdtempSync(join(tmpdir(), "modelwire-soak-"));
const failures = [];
let passed = 0;

function check(holds, what) {
  if (holds) passed++;
  else failures.push(what);
  if (!holds && failures.length <= 20) console.log(`FAILED ${what}`);
}

/** A service on a store of its own with the bundled model, and two clients of it. */
async function open(name, flags) {
  const service = await startService(join(folder, name), ["--log-level", "info", ...flags]);
  const clients = [createClient(service.address), createClient(service.address)];
  const { model } = await clients[0].models.log(fileURLToPath(new URL("../models/tiny-phi3/onnx", import.meta.url)), {
    name: "soak",
  });
  const { model: loaded } = await clients[0].serving.loadModel({ model: model.modelId });
  const close = async () => {
    for (const client of clients) client.close();
    await service.stop();
  };
  return { service, clients, loaded, close };
}

/** What there is of an answer: token ids, text and log-probabilities of each choice, and how it ended. */
function emptyAnswer() {
  return { choices: new Map(), whole: false };
}

function choiceOf(answer, index) {
  if (!answer.choices.has(index)) answer.choices.set(index, { ids: [], text: "", logprobs: [] });
  return answer.choices.get(index);
}

const logprobOf = ({ tokenId, logprob, top }) => [
  tokenId,
  logprob,
  ...top.map((other) => [other.tokenId, other.logprob]),
];

function add(answer, event) {
  if (event.case === "delta") {
    const choice = choiceOf(answer, event.value.index);
    choice.ids.push(...event.value.tokenIds);
    choice.text += event.value.content;
    choice.logprobs.push(...event.value.logprobs.map(logprobOf));
  } else if (event.case === "done") {
    answer.whole = true;
    for (const { index, finishReason, stopText, stopTokenId } of event.value.choices) {
      Object.assign(choiceOf(answer, index), { finishReason, stopText, stopTokenId });
    }
    answer.done = event.value;
  }
}

/** Asks once, as its reader does. @returns what came, and the error that ended it, if one did */
async function ask(client, input, reader) {
  const answer = emptyAnswer();
  try {
    const signal = reader.afterMs === undefined ? undefined : AbortSignal.timeout(Math.round(reader.afterMs));
    const stream = client.chat.stream(input, { signal, timeoutMs: reader.timeoutMs });
    let events = 0;
    for await (const { event } of stream.events()) {
      add(answer, event);
      if (++events === reader.afterEvents) stream.cancel();
      if (reader.type === "slow") await sleep(reader.pauseMs);
    }
  } catch (error) {
    answer.error = error;
  }
  return answer;
}

/** Whether what ended it is what its reader, or a full queue, asks for. */
function isExpected(error, reader) {
  if (!(error instanceof ApiError)) return false;
  if (error.reason === "QUEUE_FULL") return true;
  if (reader.type === "cancels") return error.code === Code.CANCELLED;
  if (reader.type !== "deadline") return false;
  return error.code === Code.DEADLINE_EXCEEDED || error.reason === "DEADLINE_UNREACHABLE";
}

/** The unary call gives no token ids: text, log-probabilities and how it ended. */
async function fold(client, input) {
  const answer = emptyAnswer();
  try {
    const result = await client.chat.complete(input);
    answer.whole = true;
    answer.folded = true;
    for (const [index, choice] of (result.choices ?? [result]).entries()) {
      const { text, finishReason, stopText, stopTokenId, logprobs } = choice;
      answer.choices.set(index, { text, finishReason, stopText, stopTokenId, logprobs: logprobs.map(logprobOf) });
    }
  } catch (error) {
    answer.error = error;
  }
  return answer;
}

/** One request, and the turns that follow it; each turn becomes a request of its own. */
async function play(clients, request, turns) {
  const { input, reader, fits } = request;
  const client = clients[request.number % clients.length];
  const answer = reader.type === "folds" ? await fold(client, input) : await ask(client, input, reader);
  const title = `request ${request.number} (${reader.type})`;
  if (answer.error) check(isExpected(answer.error, reader), `${title}: ${answer.error}`);
  else check(answer.whole, `${title}: the stream ended without its last message`);
  if (fits && answer.whole) {
    const ended = [...answer.choices.values()].filter(
      ({ finishReason }) => finishReason === 1 || finishReason === "stop",
    );
    for (const { text } of ended)
      check(isFit(fits, text), `${title}: ${JSON.stringify(text)} is not of the form that was asked for`);
  }
  played.push({ ...request, answer });
  const [next, ...later] = turns;
  if (!next || !answer.whole) return;
  const said = [...input.messages, { role: "assistant", content: answer.choices.get(0).text }, next];
  const following = { ...input, messages: said };
  await play(clients, { ...request, input: following }, later);
}

function isFit(fits, text) {
  try {
    return fits(text);
  } catch {
    return false;
  }
}

/** Holds an answer against that of the same request alone. */
function compare({ number, reader, answer }, alone) {
  const title = `request ${number} (${reader.type})`;
  if (!alone.whole) return check(false, `${title}: alone it ended with ${alone.error}`);
  for (const [index, choice] of answer.choices) {
    const other = alone.choices.get(index);
    for (const part of Object.keys(choice)) {
      // The name of a reason in the folded answer, its number on the wire; texts tell them apart as well.
      if (answer.folded && part === "finishReason") continue;
      const [ours, theirs] = [choice[part], other[part]];
      const cut = answer.whole ? theirs : (theirs?.slice(0, ours.length) ?? theirs);
      if (JSON.stringify(ours) !== JSON.stringify(cut)) {
        return check(
          false,
          `${title}, choice ${index}: ${part} ${JSON.stringify(ours)}, alone ${JSON.stringify(cut)}`.slice(0, 600),
        );
      }
    }
  }
  check(true);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Series of the Prometheus endpoint by name, values of all labels together; empty when there is none. */
async function series(port) {
  const found = new Map();
  const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
  for (const line of (await response?.text())?.split("\n") ?? []) {
    const [, name, value] = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)/.exec(line) ?? [];
    if (name) found.set(name, (found.get(name) ?? 0) + Number(value));
  }
  return found;
}

/** Whether the service knows response formats. */
async function knowsFormats({ clients, loaded }) {
  const { format, fits } = formats[1];
  const input = {
    model: loaded.modelId,
    messages: "Say something.",
    responseFormat: format,
    temperature: 0,
    maxTokens: 40,
  };
  return isFit(
    fits,
    await clients[0].chat.complete(input).then(
      ({ text }) => text,
      () => "",
    ),
  );
}

/** All requests, in their order, so many at a time. @returns the service's memory at the beginning of each, in MiB */
async function playAll({ service, clients, loaded }, numbers, formatted) {
  const memory = [];
  let next = 0;
  // The last tenth come two at a time, which is when tokens are guessed ahead.
  const caller = async (_, i) => {
    while (next < numbers.length * (i < 2 ? 1 : 0.9)) {
      const number = numbers[next++];
      memory.push(service.memory("VmRSS"));
      const { turns, ...request } = requestOf(seed, number, loaded.modelId, formatted);
      await play(clients, request, turns);
    }
  };
  await Promise.all(Array.from({ length: atATime }, caller));
  return memory;
}

/** What the requests came to, so that a reader sees what was tried. */
function tellOutcomes(seconds, found) {
  const outcomes = new Map();
  for (const { answer } of played) {
    const { reason, code } = answer.error ?? {};
    const outcome = answer.whole ? "whole" : reason || Code[code ?? -1] || "broken";
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  const told = [...outcomes].map(([outcome, number]) => `${number} ${outcome}`).join(", ");
  console.log(`${played.length} requests in ${seconds.toFixed(0)} s: ${told}`);
  const done = played.flatMap(({ answer }) => answer.done ?? []);
  const sum = (part, field) => done.reduce((all, one) => all + (one[part]?.[field] ?? 0), 0);
  console.log(
    `${sum("usage", "completionTokens")} tokens streamed in ${sum("timings", "steps")} steps of a row; ` +
      `${sum("timings", "draftedTokens")} guessed, ${sum("timings", "acceptedTokens")} right; of ${sum("usage", "promptTokens")} ` +
      `prompt tokens ${sum("usage", "cachedPromptTokens")} were in the cache; ${found.get("vllm:num_preemptions_total")} gave up their place`,
  );
}

/** Nobody is waited for any more: every place and every block of the cache is free. */
async function checkFree(client, found) {
  const { models } = await client.serving.listLoadedModels({});
  for (const { name, running, waiting } of models)
    check(running === 0 && waiting === 0, `${name}: ${running} running, ${waiting} waiting at the end`);
  for (const name of ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"])
    check(found.get(name) === 0, `${name} is ${found.get(name)} at the end`);
}

function checkMemory(memory) {
  const quarters = [0, 1, 2, 3].map((i) =>
    median(memory.slice((i * memory.length) / 4, ((i + 1) * memory.length) / 4)),
  );
  const more = quarters[3] - quarters[2];
  console.log(`figure: memory by quarters: ${quarters.join(", ")} MiB; bar: ${FLAT_MIB} more in the last`);
  check(more <= FLAT_MIB, `the service has ${more} MiB more in the last quarter`);
}

/** Asks again, alone, what was answered, each different request once, and compares. @returns how many those were */
async function compareAll({ clients: [client], loaded }) {
  const asked = new Map();
  const left = played.filter(({ answer }) => answer.whole || answer.choices.size > 0);
  // Several wait for the one place, so that it is never empty.
  const asker = async () => {
    for (let one = left.pop(); one; one = left.pop()) {
      const input = { ...one.input, model: loaded.modelId };
      const key = JSON.stringify([input, one.answer.folded]);
      if (!asked.has(key) && asked.size >= mostAlone) continue;
      if (!asked.has(key)) asked.set(key, one.answer.folded ? fold(client, input) : ask(client, input, {}));
      const answer = await asked.get(key);
      if (values.only !== undefined) console.log(input, one.answer.choices, answer.choices);
      compare(one, answer);
    }
  };
  await Promise.all(Array.from({ length: 4 }, asker));
  return asked.size;
}

const played = [];
const port = await freePort();
const tight = ["--max-sequences", "8", "--cache-tokens", "6144", "--max-queue", "40"];
const crowd = await open("crowd", [...tight, "--metrics-port", `${port}`]);
const alone = await open("alone", ["--max-sequences", "1", "--no-speculation", "--prefix-cache", "off"]);
try {
  printMachine(`${count} requests, ${atATime} at a time, seed ${seed}`);
  const formatted = await knowsFormats(crowd);
  check(formatted, "the service does not keep to a response format");

  const numbers = values.only === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(values.only)];
  const began = performance.now();
  const memory = await playAll(crowd, numbers, formatted);
  const seconds = (performance.now() - began) / 1000;

  // Places are given back before the next step, which those that were cancelled last do not wait for.
  await sleep(500);
  const found = await series(port);
  tellOutcomes(seconds, found);
  await checkFree(crowd.clients[0], found);
  if (numbers.length >= 1000) checkMemory(memory);

  const again = performance.now();
  const different = await compareAll(alone);
  console.log(`${different} asked again, alone, in ${((performance.now() - again) / 1000).toFixed(0)} s`);
} finally {
  await crowd.close();
  await alone.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`soak: ${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;
