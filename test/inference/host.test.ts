import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import {
  type ChatMessage,
  createInferenceHost,
  type GenerateEvent,
  type GenerateOptions,
  type InferenceError,
  type InferenceHost,
} from "../../server/inference/host.ts";
import { failure } from "./failure.ts";
import { fixture, tinyPhi3, withFolder } from "./folders.ts";

const recorded = JSON.parse(
  readFileSync(new URL("../fixtures/recorded/tiny-phi3-genai-greedy.json", import.meta.url), "utf8"),
) as {
  cases: { messages: ChatMessage[]; prompt_ids: number[]; output_ids: number[]; text: string }[];
};
const hosts: InferenceHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()));
});
const newHost = (options: Parameters<typeof createInferenceHost>[0] = {}) => {
  const host = createInferenceHost(options);
  hosts.push(host);
  return host;
};
/** A host with tiny-phi3 under the key "phi". */
const withPhi = async (options: Parameters<typeof createInferenceHost>[0] = {}, load = {}) => {
  const host = newHost(options);
  await host.load("phi", tinyPhi3, { threads: 1, ...load });
  return host;
};

/** A host with a random model under the key "phi"; it answers "hello" up to the end of its context of 256. */
const withRandom = async (options: Parameters<typeof createInferenceHost>[0] = {}, load = {}) => {
  const host = newHost(options);
  await host.load("phi", fixture("tiny-int4"), { threads: 1, ...load });
  return host;
};

const user = (content: string) => [{ role: "user", content }];
const chat = (
  host: InferenceHost,
  content: string,
  options: GenerateOptions = {},
  signal = new AbortController().signal,
) => host.generate({ model: "phi", messages: user(content), options }, signal);
async function all(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const list: GenerateEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}
const textOf = (events: readonly GenerateEvent[], index = 0) =>
  events.map((event) => (event.type === "delta" && event.index === index ? event.text : "")).join("");
const doneOf = (events: readonly GenerateEvent[]) => events.find((event) => event.type === "done")!;

describe("an inference host", () => {
  test("streams the answer to a chat, with its reason, usage, timings, seed and options", async () => {
    const host = await withPhi();
    const { messages, prompt_ids, output_ids, text } = recorded.cases[0]!;
    const events = await all(host.generate({ model: "phi", messages, options: {} }, new AbortController().signal));
    expect(textOf(events)).toBe(text);
    expect(events.at(-2)).toEqual({ type: "finish", index: 0, reason: "stop", stopTokenId: expect.any(Number) });
    expect(doneOf(events)).toMatchObject({
      usage: { promptTokens: prompt_ids.length, completionTokens: output_ids.length, cachedPromptTokens: 0 },
      options: { temperature: 0, topK: 50, topP: 1, n: 1, stop: [], maxTokens: 2048 - prompt_ids.length },
    });
    const { timings, seed } = doneOf(events);
    expect(timings.timeToFirstTokenMs).toBeGreaterThan(0);
    expect(timings.tokensPerSecond).toBeGreaterThan(0);
    expect(typeof seed).toBe("bigint");
  });

  test("gives the same answer for the same seed, alone and beside others, and others for other seeds", async () => {
    const host = await withRandom();
    const sampled = (seed: bigint) => chat(host, "hello", { temperature: 1.5, topK: 0, seed, maxTokens: 24 });
    const alone = textOf(await all(sampled(11n)));
    const together = await Promise.all([11n, 12n, 11n, 13n].map(async (seed) => textOf(await all(sampled(seed)))));
    expect(together[0]).toBe(alone);
    expect(together[2]).toBe(alone);
    expect(new Set(together).size).toBe(3);
    const events = await all(chat(host, "hello", { temperature: 1.5, topK: 0, maxTokens: 24 }));
    const { seed } = doneOf(events);
    expect(textOf(await all(sampled(seed)))).toBe(textOf(events));
  });

  test("gives several answers to one prompt, each with its own end, and one done", async () => {
    const host = await withRandom();
    const events = await all(chat(host, "hello", { n: 3, temperature: 1.5, topK: 0, seed: 4n, maxTokens: 12 }));
    expect(
      events
        .filter((event) => event.type === "finish")
        .map((event) => event.index)
        .sort(),
    ).toEqual([0, 1, 2]);
    expect(events.filter((event) => event.type === "done")).toHaveLength(1);
    expect(events.at(-1)!.type).toBe("done");
    const single = await all(chat(host, "hello", { temperature: 1.5, topK: 0, seed: 4n, maxTokens: 12 }));
    expect(textOf(events, 0)).toBe(textOf(single));
    expect(new Set([0, 1, 2].map((index) => textOf(events, index))).size).toBeGreaterThan(1);
  });

  test("ends before a stop string and names it", async () => {
    const host = await withPhi();
    const events = await all(chat(host, "What is the capital of Spain?", { stop: ["zebra", " of Sp"] }));
    expect(textOf(events)).toBe("The capital");
    expect(events).toContainEqual({ type: "finish", index: 0, reason: "stop", stopString: " of Sp" });
    expect(doneOf(events).timings.steps).toBeGreaterThan(0);
    expect(await host.stats()).toMatchObject({ models: [{ running: 0, queued: 0 }] });
  });

  test("ends with reason length after max_tokens, all ids delivered", async () => {
    const host = await withPhi();
    const events = await all(chat(host, "What is the capital of Spain?", { maxTokens: 3 }));
    expect(events).toContainEqual({ type: "finish", index: 0, reason: "length" });
    expect(events.flatMap((event) => (event.type === "delta" ? event.tokenIds : []))).toHaveLength(3);
    expect(doneOf(events)).toMatchObject({ usage: { completionTokens: 3 } });
  });

  test("keeps control tokens in a message as text", async () => {
    const host = await withPhi();
    const plain = doneOf(await all(chat(host, "x", { maxTokens: 1 }))).usage.promptTokens;
    const spelled = doneOf(await all(chat(host, "<|end|><|system|>", { maxTokens: 1 }))).usage.promptTokens;
    expect(spelled - plain).toBeGreaterThan(4);
  });

  test("lets a reader that stops hold up nobody else, and keeps what it has not read bounded", async () => {
    const host = await withRandom({ credits: 4 });
    const slow = chat(host, "hello", {})[Symbol.asyncIterator]();
    await slow.next();
    for (const question of ["a", "b"])
      expect(doneOf(await all(chat(host, question))).usage.completionTokens).toBeGreaterThan(100);
    expect(await host.stats()).toMatchObject({ models: [{ running: 1 }] });
    await slow.return?.();
  });

  test("frees the place when a reader leaves or aborts", async () => {
    const host = await withRandom({}, { maxSequences: 1 });
    const undisturbed = textOf(await all(chat(host, "a")));
    const long = {};
    for await (const event of chat(host, "hello", long)) {
      expect(event.type).toBe("delta");
      break;
    }
    const abort = new AbortController();
    const reading = all(chat(host, "hello", long, abort.signal));
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    expect(textOf(await all(chat(host, "a")))).toBe(undisturbed);
    expect(await host.stats()).toMatchObject({ models: [{ running: 0, queued: 0 }] });
  });

  test("loads a key once, and tells what it loaded", async () => {
    const host = newHost();
    const [one, two] = await Promise.all([host.load("phi", tinyPhi3), host.load("phi", tinyPhi3)]);
    expect(two).toBe(one);
    expect(host.models()).toEqual([one]);
    expect(one).toMatchObject({
      key: "phi",
      modelType: "phi3",
      contextLength: 2048,
      vocabSize: 2176,
      maxSequences: 8,
      warnings: [],
    });
    expect((await failure(host.load("phi", fixture("tiny-fp32")))).reason).toBe("INVALID_OPTION");
  });

  test("serves several models side by side", async () => {
    const host = await withPhi();
    await host.load("tiny", fixture("tiny-int4"), { threads: 1 });
    const [phi, tiny] = await Promise.all([
      all(chat(host, "What is the capital of Spain?")),
      all(
        host.generate(
          { model: "tiny", messages: user("hello"), options: { maxTokens: 9 } },
          new AbortController().signal,
        ),
      ),
    ]);
    expect(textOf(phi)).toBe("The capital of Spain is Madrid.");
    expect(doneOf(tiny).usage.completionTokens).toBeGreaterThan(0);
  });

  test("unloads after the generations that run, and takes none meanwhile", async () => {
    const host = await withPhi();
    const reader = chat(host, "What is the capital of Spain?")[Symbol.asyncIterator]();
    await reader.next();
    const unloaded = host.unload("phi");
    expect((await failure(all(chat(host, "x")))).reason).toBe("MODEL_NOT_LOADED");
    let text = "";
    for (let next = await reader.next(); !next.done; next = await reader.next())
      text += next.value.type === "delta" ? next.value.text : "";
    expect(text).toContain("Madrid");
    await unloaded;
    expect(host.models()).toEqual([]);
    await host.unload("phi");
    expect((await host.load("phi", tinyPhi3)).key).toBe("phi");
  });

  test("unloads at once when the signal aborts", async () => {
    const host = await withRandom();
    const reader = chat(host, "hello", {})[Symbol.asyncIterator]();
    await reader.next();
    await host.unload("phi", AbortSignal.abort());
    expect(await host.stats()).toMatchObject({ models: [] });
  });

  test("closes during a prefill and leaves no thread behind", async () => {
    const host = await withPhi();
    const running = all(chat(host, "word ".repeat(1500), { maxTokens: 5 })).catch((error: unknown) => error);
    await host.stats();
    await host.close();
    expect(await running).toBeInstanceOf(Error);
    expect(await host.stats()).toEqual({ workerRunning: false, models: [], graphs: [] });
    expect((await failure(host.load("phi", tinyPhi3))).reason).toBe("CLOSED");
  });

  test("closes while a folder is being opened", async () => {
    const host = newHost();
    const loading = host.load("phi", tinyPhi3);
    const inspecting = host.inspect(fixture("tiny-fp32"));
    await host.close();
    expect(await loading).toMatchObject({ key: "phi" });
    expect(await inspecting).toMatchObject({ layers: 2 });
  });

  test("fails what runs with WORKER_DIED when the thread ends, and starts another on the next load", async () => {
    const host = newHost({ worker: new URL("./dying-worker.mjs", import.meta.url) });
    await host.load("phi", tinyPhi3);
    const reading = all(chat(host, "x"));
    await host.loadGraph("iris", "anything");
    const running = host.run("iris", [], new AbortController().signal);
    const counting = host.tokenize("phi", { text: "x" });
    const inspecting = host.inspect("anything");
    expect((await failure(reading)).reason).toBe("WORKER_DIED");
    expect((await failure(running)).reason).toBe("WORKER_DIED");
    expect((await failure(counting)).reason).toBe("WORKER_DIED");
    expect((await failure(inspecting)).message).toContain("out of breath");
    expect([...host.models(), ...host.graphs()]).toEqual([]);
    expect((await failure(all(chat(host, "x")))).reason).toBe("MODEL_NOT_LOADED");
    expect(await host.load("phi", tinyPhi3)).toEqual({ key: "phi" });
  });

  test("says that the worker has not been built", async () => {
    const host = newHost({ worker: new URL("./no-such-worker.js", import.meta.url) });
    const error = await failure(host.load("phi", tinyPhi3));
    expect(error).toMatchObject({ reason: "RUNTIME_UNAVAILABLE" });
    expect(error.message).toContain("npm run build");
  });

  test("loads and unloads again and again without growing", async () => {
    const host = newHost();
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) {
        await host.load("phi", tinyPhi3, { threads: 3 });
        await all(chat(host, "x", { maxTokens: 2 }));
        await host.unload("phi");
      }
      // A session that is not released keeps the threads of its pool.
      const threads = process.platform === "linux" ? readdirSync("/proc/self/task").length : 0;
      return { threads, megabytes: process.memoryUsage().rss / 2 ** 20 };
    };
    const before = await rounds(8);
    const after = await rounds(16);
    expect(after.threads - before.threads).toBeLessThan(3);
    expect(after.megabytes - before.megabytes).toBeLessThan(60);
  });
});

describe("an inference host refuses", () => {
  test("options that make no sense, all of them at once", async () => {
    const host = await withPhi();
    const options = { temperature: -1, topP: 1.5, topK: -2, maxTokens: 0, seed: -1n, n: 99, stop: ["", "ok"] };
    const error = await failure(all(chat(host, "x", options)));
    expect(error.reason).toBe("INVALID_OPTION");
    expect(error.violations.map((violation) => violation.field)).toEqual([
      "temperature",
      "top_k",
      "top_p",
      "max_tokens",
      "n",
      "seed",
      "stop[0]",
    ]);
  });

  test("a chat without messages", async () => {
    const host = await withPhi();
    expect(
      await failure(all(host.generate({ model: "phi", messages: [], options: {} }, new AbortController().signal))),
    ).toMatchObject({
      reason: "INVALID_OPTION",
      violations: [{ field: "messages" }],
    });
  });

  test("what does not fit the context, with both numbers", async () => {
    const host = await withPhi();
    const error = await failure(all(chat(host, "word ".repeat(3000), { maxTokens: 7 })));
    expect(error.reason).toBe("CONTEXT_OVERFLOW");
    expect(error.metadata).toMatchObject({ context_length: "2048", max_tokens: "7" });
    expect(Number(error.metadata.prompt_tokens)).toBeGreaterThan(2048);
    expect((await failure(all(chat(host, "word ".repeat(150_000))))).reason).toBe("CONTEXT_OVERFLOW");
  });

  test("a role that the template does not know, with the template's words", async () => {
    const host = newHost();
    await host.load("tiny", fixture("tiny-fp32"));
    const request = { model: "tiny", messages: [{ role: "tool", content: "x" }], options: {} };
    const error = await failure(all(host.generate(request, new AbortController().signal)));
    expect(error).toMatchObject({ reason: "TEMPLATE_FAILED" });
    expect(error.message).toContain("Unknown role: tool");
  });

  test("a model that is not loaded", async () => {
    const error = await failure(all(chat(newHost(), "x")));
    expect(error).toMatchObject({ reason: "MODEL_NOT_LOADED", metadata: { model: "phi" } });
  });

  test("more memory than there is, with what to do", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.edit("genai_config.json", (config) => {
        config.model.context_length = 2 ** 30;
      });
      const error = await failure(newHost().load("phi", folder.path, { maxSequences: 1024, runner: "stock" }));
      expect(error).toMatchObject({ reason: "MODEL_FAILED" });
      expect(error.message).toMatch(/1024 sequences of 1073741824 tokens needs .* GiB.*fewer sequences/);
    });
  });

  test("load options that make no sense", async () => {
    const error = await failure(newHost().load("phi", tinyPhi3, { threads: 0, maxSequences: 1.5, maxLength: -1 }));
    expect(error.violations.map((violation) => violation.field)).toEqual(["threads", "maxSequences", "maxLength"]);
  });

  test("a request too many", async () => {
    const host = await withRandom({}, { maxSequences: 1, queueLimit: 64 });
    const leave = Array.from({ length: 12 }, () => new AbortController());
    const options = { n: 8, maxTokens: 50, temperature: 2, topK: 0 };
    const many = leave.map(({ signal }) => all(chat(host, "x", options, signal)));
    const outcomes = await Promise.all(
      many.map((running) => {
        const settled = running.then(
          () => "answered",
          (error: Partial<InferenceError>) => error.reason ?? "aborted",
        );
        void settled.then((outcome) => {
          if (outcome === "QUEUE_FULL") for (const controller of leave) controller.abort();
        });
        return settled;
      }),
    );
    expect(outcomes).toContain("QUEUE_FULL");
    expect(await host.stats()).toMatchObject({ models: [{ running: 0, queued: 0 }] });
  });
});
