// The inference thread: takes messages, calls one function for each, posts what it gives. Dispatch only. The thread is
// never terminated from outside, which would abort the process during a run: it is asked to close and then ends by itself.

import { randomBytes } from "node:crypto";
import { type MessagePort, parentPort } from "node:worker_threads";
import { Credits } from "./credits.ts";
import { toErrorData } from "./errors.ts";
import { generateChat } from "./generate.ts";
import type { FromWorker, Replies, ToWorker } from "./messages.ts";
import { ModelSet } from "./model-set.ts";

interface Generation {
  readonly key: string;
  readonly abort: AbortController;
  readonly credits: Credits;
}

const port = parentPort as MessagePort;
const models = new ModelSet();
const generations = new Map<number, Generation>();
const post = (message: FromWorker) => port.postMessage(message);
const randomSeed = () => randomBytes(8).readBigUInt64LE();

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "load":
      return void reply(message.id, () => models.load(message.key, message.folder, message.options));
    case "unload":
      return void reply(message.id, () => models.unload(message.key).then(() => undefined));
    case "inspect":
      return void reply(message.id, () => models.inspect(message.folder));
    case "start":
      return void reply(message.id, () => models.start());
    case "stats":
      return void reply(message.id, async () => models.stats());
    case "close":
      return void reply(message.id, close).finally(() => port.close());
    case "generate":
      return void generate(message);
    case "credit":
      return generations.get(message.id)?.credits.grant(message.credits);
    case "cancel":
      return generations.get(message.id)?.abort.abort();
    case "cancelAll":
      for (const { key, abort } of generations.values()) if (key === message.key) abort.abort();
      return;
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
  const generation = { key: request.model, abort: new AbortController(), credits: new Credits(credits) };
  generations.set(id, generation);
  const { signal } = generation.abort;
  let release = () => {};
  try {
    const used = models.use(request.model);
    release = used.release;
    for await (const event of generateChat(used.model, request, signal, randomSeed)) {
      await generation.credits.take(signal);
      post({ type: "event", id, event });
    }
    post({ type: "end", id });
  } catch (error) {
    post({ type: "end", id, error: toErrorData(error) });
  } finally {
    generations.delete(id);
    release();
  }
}

async function close(): Promise<undefined> {
  for (const { abort } of generations.values()) abort.abort();
  await models.close();
}
