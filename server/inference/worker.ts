// The inference thread: takes messages, calls one function for each, posts what it gives. Dispatch only. The thread is
// never terminated from outside, which would abort the process during a run: it is asked to close and then ends by itself.

import { randomBytes } from "node:crypto";
import { type MessagePort, parentPort } from "node:worker_threads";
import { Credits } from "./credits.ts";
import { InferenceError, toErrorData } from "./errors.ts";
import { generateText } from "./generate.ts";
import type { FromWorker, Replies, ToWorker } from "./messages.ts";
import { ModelSet } from "./model-set.ts";
import { detokenize, tokenize } from "./tokens.ts";
import { buffersOf } from "./transfer.ts";

/** A generation or a run. */
interface Call {
  readonly key: string;
  readonly abort: AbortController;
  readonly credits?: Credits;
}

const port = parentPort as MessagePort;
const models = new ModelSet();
const calls = new Map<number, Call>();
const post = (message: FromWorker, transfer: readonly ArrayBuffer[] = []) => port.postMessage(message, transfer);
const randomSeed = () => randomBytes(8).readBigUInt64LE();

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "load":
      return void reply(message.id, () =>
        models.load(message.key, message.folder, message.options, (progress) =>
          post({ type: "progress", id: message.id, progress }),
        ),
      );
    case "unload":
      return void reply(message.id, () => models.unload(message.key).then(() => undefined));
    case "inspect":
      return void reply(message.id, () => models.inspect(message.folder));
    case "inspectRunner":
      return void reply(message.id, () => models.inspectRunner(message.folder, message.options));
    case "loadGraph":
      return void reply(message.id, () => models.loadGraph(message.key, message.path, message.options));
    case "inspectGraph":
      return void reply(message.id, () => models.inspectGraph(message.path));
    case "tokenize":
      return void reply(message.id, () =>
        models.use(message.key, async (model) => tokenize(model, message.source, message.pieces)),
      );
    case "detokenize":
      return void reply(message.id, () =>
        models.use(message.key, async (model) => detokenize(model, message.ids, message.special)),
      );
    case "run":
      return void run(message);
    case "start":
      return void reply(message.id, () => models.start());
    case "stats":
      return void reply(message.id, async () => models.stats());
    case "close":
      return void reply(message.id, close).finally(() => port.close());
    case "generate":
      return void generate(message);
    case "credit":
      return calls.get(message.id)?.credits?.grant(message.credits);
    case "cancel":
      return calls.get(message.id)?.abort.abort();
    case "cancelAll":
      return endCalls(new InferenceError("MODEL_NOT_LOADED", `The model ${message.key} was unloaded.`), message.key);
  }
});

async function reply<K extends keyof Replies>(id: number, work: () => Promise<Replies[K]>): Promise<void> {
  try {
    post({ type: "reply", id, value: await work() });
  } catch (error) {
    post({ type: "failure", id, error: toErrorData(error) });
  }
}

async function generate({ id, request, credits }: Extract<ToWorker, { type: "generate" }>): Promise<void> {
  const call = { key: request.model, abort: new AbortController(), credits: new Credits(credits) };
  calls.set(id, call);
  const { signal } = call.abort;
  try {
    await models.use(request.model, async (model) => {
      for await (const event of generateText(model, request, signal, randomSeed)) {
        await call.credits.take(signal);
        post({ type: "event", id, event });
      }
    });
    post({ type: "end", id });
  } catch (error) {
    post({ type: "end", id, error: toErrorData(error) });
  } finally {
    calls.delete(id);
  }
}

async function run({ id, key, feeds }: Extract<ToWorker, { type: "run" }>): Promise<void> {
  const call = { key, abort: new AbortController() };
  calls.set(id, call);
  try {
    const value = await models.useGraph(key, (graph) => graph.run(feeds, call.abort.signal));
    post({ type: "reply", id, value }, buffersOf(value));
  } catch (error) {
    post({ type: "failure", id, error: toErrorData(error) });
  } finally {
    calls.delete(id);
  }
}

async function close(): Promise<undefined> {
  endCalls(new InferenceError("CLOSED", "The inference host was closed."));
  await models.close();
}

/** Ends the calls of one model, or all. */
function endCalls(reason: InferenceError, model?: string): void {
  for (const { key, abort } of calls.values()) if (model === undefined || key === model) abort.abort(reason);
}
