import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { Engine, type EngineOptions } from "../../server/decoder/engine.ts";
import {
  ContextOverflowError,
  EngineClosedError,
  type InvalidRequestError,
  LogitsError,
  QueueFullError,
} from "../../server/decoder/errors.ts";
import { type EngineSnapshot, violations } from "../../server/decoder/invariants.ts";
import type { GenerateInput } from "../../server/decoder/request.ts";
import type { TokenEvent } from "../../server/decoder/sequence.ts";
import type { SequenceReader } from "../../server/decoder/sequence-reader.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";
import type { ModelRunner } from "../../server/onnx/model-runner.ts";
import { openRunner } from "../../server/onnx/open-runner.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { hashed, type Script, ScriptedRunner } from "./scripted-runner.ts";

const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0n };
const sampled = (seed: bigint) => ({ temperature: 0.9, topK: 0, topP: 0.95, seed });
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function start(script: Partial<Script> = {}, options: EngineOptions = {}) {
  const runner = new ScriptedRunner({ logits: hashed(script.vocabSize ?? 64), ...script });
  const engine = watched(runner, options);
  return { runner, engine };
}

/** An engine whose invariants are checked after every step. */
function watched(runner: ModelRunner, options: EngineOptions = {}): Engine {
  const engine = new Engine(runner, {
    ...options,
    onStep: (snapshot) => {
      const found = violations({ ...snapshot, ...counted(runner) });
      if (found.length > 0) throw new Error(found.join("; "));
    },
  });
  closers.push(() => engine.close());
  return engine;
}

/** What the scripted runner counts itself. */
function counted(runner: ModelRunner): Pick<EngineSnapshot, "runner"> {
  if (!(runner instanceof ScriptedRunner)) return {};
  const { freePlaces, places, heldBlocks } = runner;
  return { runner: { freePlaces, places, heldBlocks } };
}

const ask = (engine: Engine, ids: number[], options: Partial<GenerateInput["options"]> = {}, signal?: AbortSignal) =>
  engine.generate({ ids, options: { ...greedy, ...options } }, signal);

async function rest(reader: SequenceReader): Promise<TokenEvent[]> {
  const events: TokenEvent[] = [];
  for await (const event of reader) events.push(event);
  return events;
}
const tokens = (events: readonly TokenEvent[]) => events.flatMap((event) => (event.type === "token" ? [event.id] : []));
const answer = async (reader: SequenceReader) => tokens(await rest(reader));

/** A promise and its resolver. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe("an engine", () => {
  test("gives start, then tokens, then exactly one finish", async () => {
    const { engine } = start({ eosIds: [] });
    const events = await rest(ask(engine, [5, 6, 7], { maxTokens: 4 }));
    expect(events.map((event) => event.type)).toEqual(["start", "token", "token", "token", "token", "finish"]);
    expect(events.at(-1)).toMatchObject({ reason: "length" });
  });

  test("ends on every ending id, names it, and does not give it as a token", async () => {
    for (const eos of [9, 11]) {
      const logits: Script["logits"] = (seen, out) => {
        out[seen.length < 5 ? 20 : eos] = 1;
      };
      const { engine } = start({ logits, eosIds: [9, 11] });
      const events = await rest(ask(engine, [5, 6, 7]));
      expect(tokens(events)).toEqual([20, 20]);
      expect(events.at(-1)).toMatchObject({ type: "finish", reason: "eos", id: eos });
    }
  });

  test("fills the context exactly when no limit is asked for", async () => {
    const { engine } = start({ contextLength: 20, eosIds: [] });
    expect(await answer(ask(engine, [5, 6, 7]))).toHaveLength(17);
  });

  test("refuses what cannot fit, with both numbers", async () => {
    const { engine } = start({ contextLength: 20 });
    expect(() => ask(engine, new Array<number>(20).fill(3))).toThrow(/20 tokens.*20 tokens/);
    expect(() => ask(engine, [1, 2, 3], { maxTokens: 18 })).toThrow(ContextOverflowError);
    expect(() => ask(engine, [1, 2, 3], { maxTokens: 18 })).toThrow(
      /3 tokens and max_tokens is 18.*20 tokens.*at most 17/,
    );
    expect(await answer(ask(engine, [2, 2, 3], { maxTokens: 17 }))).toBeDefined();
  });

  test("names every option that makes no sense", () => {
    const { engine } = start();
    const options = { temperature: -1, topK: 1.5, topP: 2, maxTokens: 0 };
    const error = thrown(() => ask(engine, [], options)) as InvalidRequestError;
    expect(error.violations.map((violation) => violation.field)).toEqual([
      "temperature",
      "top_k",
      "top_p",
      "max_tokens",
      "prompt",
    ]);
    expect(() => ask(engine, [3, 64])).toThrow("token 64");
  });

  test("refuses a request when the queue is full, and takes one again when there is room", async () => {
    const hold = gate();
    const { engine } = start({ maxSequences: 1, before: () => hold.opened }, { queueLimit: 2 });
    const first = ask(engine, [4, 4], { maxTokens: 2 });
    await first.next();
    const waiting = [ask(engine, [5, 5], { maxTokens: 1 }), ask(engine, [6, 6], { maxTokens: 1 })];
    expect(() => ask(engine, [7, 7])).toThrow(QueueFullError);
    hold.open();
    await rest(first);
    await rest(waiting[0]!);
    expect(await answer(ask(engine, [7, 7], { maxTokens: 1 }))).toHaveLength(1);
  });

  test("serves those who wait in the order they came", async () => {
    const { engine, runner } = start({ maxSequences: 1, eosIds: [] });
    await Promise.all([4, 5, 6].map((id) => rest(ask(engine, [id, id], { maxTokens: 2 }))));
    expect(
      runner.log
        .flat()
        .filter(([, ids]) => ids.length === 2)
        .map(([, ids]) => ids[0]),
    ).toEqual([4, 5, 6]);
  });

  test("decodes in every step while a long prompt goes by in chunks", async () => {
    const { engine, runner } = start({ eosIds: [] }, { chunkBesideDecoding: 4, chunkAlone: 16 });
    const first = ask(engine, [4, 5], { maxTokens: 30 });
    await first.next();
    await first.next();
    const second = ask(engine, new Array<number>(20).fill(6), { maxTokens: 2 });
    await Promise.all([rest(first), rest(second)]);
    const beside = runner.log.filter((batch) => batch.some(([, ids]) => ids.length > 1)).slice(1);
    expect(beside.map((batch) => batch.map(([, ids]) => ids.length))).toEqual(new Array(5).fill([1, 4]));
  });

  test("takes large chunks of a prompt when nobody decodes", async () => {
    const { engine, runner } = start({ eosIds: [] }, { chunkBesideDecoding: 4, chunkAlone: 16 });
    await rest(ask(engine, new Array<number>(40).fill(6), { maxTokens: 1 }));
    expect(runner.log.map((batch) => batch[0]![1].length)).toEqual([16, 16, 8]);
  });

  test("gives the same tokens whatever the chunk size", async () => {
    const ids = Array.from({ length: 33 }, (_, i) => (i * 7) % 60);
    const answers = [];
    for (const chunk of [1, 2, 5, 16]) {
      const { engine } = start({ eosIds: [] }, { chunkAlone: chunk, chunkBesideDecoding: chunk });
      answers.push(await answer(ask(engine, ids, { maxTokens: 20 })));
    }
    expect(new Set(answers.map(String)).size).toBe(1);
  });

  test("computes a beginning once for all who share it, and gives the same tokens", async () => {
    const together = (engine: Engine, list: number[]) =>
      engine.generate({ ids: list, options: { ...greedy, maxTokens: 8 }, cacheScope: "all" });
    const ids = Array.from({ length: 30 }, (_, i) => (i * 7) % 60);
    const asks = [ids, ids, [...ids.slice(0, 24), 3, 4], [9, ...ids]];
    const { engine: calm } = start({ eosIds: [] });
    const expected: number[][] = [];
    for (const each of asks) expected.push(await answer(ask(calm, each, { maxTokens: 8 })));
    const { engine, runner } = start({ eosIds: [] });
    const events = await Promise.all(asks.map((each) => rest(together(engine, each))));
    expect(events.map(tokens)).toEqual(expected);
    expect(events.map(([first]) => (first?.type === "start" ? first.cachedTokens : undefined))).toEqual([0, 29, 24, 0]);
    const computed = runner.log.flat().reduce((sum, [, list]) => sum + list.length, 0);
    expect(computed).toBe(30 + 1 + 2 + 31 + 4 * 7);
  });

  test("takes over nothing from those it does not share with", async () => {
    const ids = Array.from({ length: 30 }, (_, i) => (i * 7) % 60);
    const { engine } = start({ eosIds: [] });
    const generate = (cacheScope?: string) =>
      rest(engine.generate({ ids, options: { ...greedy, maxTokens: 4 }, ...(cacheScope && { cacheScope }) }));
    const events = await Promise.all([generate("one"), generate("other"), generate(), generate()]);
    expect(events.map(([first]) => (first?.type === "start" ? first.cachedTokens : undefined))).toEqual([0, 0, 0, 0]);
  });

  test("does not let a slow reader delay others, and lets it go on later with the same tokens", async () => {
    const { engine } = start({ eosIds: [] }, { windowTokens: 3 });
    const alone = await answer(ask(engine, [8, 9], sampled(3n)));
    const slow = ask(engine, [8, 9], sampled(3n));
    await slow.next();
    const others = await Promise.all([10, 11, 12].map((id) => answer(ask(engine, [id, id]))));
    expect(others.map((ids) => ids.length)).toEqual([62, 62, 62]);
    const [state] = engine.snapshot().running;
    expect(state).toMatchObject({ unread: 3, length: 5 });
    expect(tokens(await rest(slow))).toEqual(alone);
  });

  test("slow readers give their places to those who wait, however many they are, and lose no token", async () => {
    const { engine, runner } = start({ maxSequences: 2, eosIds: [] }, { windowTokens: 3, chunkBesideDecoding: 4 });
    const asks = [1, 2, 3, 4, 5].map((id) => [id, id + 1, id + 2]);
    const alone: number[][] = [];
    for (const [i, ids] of asks.entries()) alone.push(await answer(ask(engine, ids, sampled(BigInt(i)))));
    const slow = asks.map((ids, i) => ask(engine, ids, sampled(BigInt(i))));
    for (const reader of slow) await reader.next();
    expect((await answer(ask(engine, [9, 9]))).length).toBe(62);
    expect(engine.snapshot().running.length + engine.snapshot().queued.length).toBe(5);
    // Read one after the other, then all together: each goes on where it was.
    expect(tokens(await rest(slow[3]!))).toEqual(alone[3]);
    const others = [0, 1, 2, 4];
    expect((await Promise.all(others.map((i) => rest(slow[i]!)))).map(tokens)).toEqual(others.map((i) => alone[i]));
    expect(engine.snapshot()).toMatchObject({ queued: [], running: [] });
    expect(runner.freePlaces).toBe(2);
  });

  test("only as many slow readers give up their place as may wait", async () => {
    const { engine } = start({ maxSequences: 1, eosIds: [] }, { windowTokens: 2, queueLimit: 2 });
    const readers: SequenceReader[] = [];
    for (let id = 1; id <= 3; id++) {
      readers.push(ask(engine, [id, id]));
      await readers.at(-1)!.next();
    }
    // One has the place and two have given theirs up: the next two wait, and one more is refused.
    const waiting = [ask(engine, [7]), ask(engine, [8])];
    expect(() => ask(engine, [9])).toThrow(QueueFullError);
    const all = await Promise.all([...readers, ...waiting].map((reader) => answer(reader)));
    expect(all.map((ids) => ids.length)).toEqual([62, 62, 62, 63, 63]);
  });

  test("gives the place of a cancelled sequence away before the next step", async () => {
    const hold = gate();
    const { engine, runner } = start({
      maxSequences: 1,
      eosIds: [],
      before: (batch) => (batch[0]!.tokens[0] === 4 ? hold.opened : undefined),
    });
    const first = ask(engine, [4, 4, 4], { maxTokens: 50 });
    await first.next();
    const second = ask(engine, [5, 5], { maxTokens: 1 });
    await first.return();
    expect(await answer(second)).toHaveLength(1);
    expect(runner.log.map((batch) => batch.map(([, ids]) => ids[0]))).toEqual([[4], [5]]);
    hold.open();
  });

  test("ends the run in flight when everyone it is for has gone, and only then", async () => {
    const hold = gate();
    const { engine, runner } = start({ eosIds: [], before: () => hold.opened }, { chunkBesideDecoding: 2 });
    const [one, two] = [ask(engine, [4, 5], { maxTokens: 9 }), ask(engine, [6], { maxTokens: 9 })];
    await Promise.all([one.next(), two.next()]);
    await one.return();
    expect(runner.terminations).toBe(0);
    await two.return();
    expect(runner.terminations).toBe(1);
    hold.open();
    expect(await answer(ask(engine, [7, 7], { maxTokens: 2 }))).toHaveLength(2);
    expect(
      runner.log
        .slice(1)
        .flat()
        .map(([, ids]) => ids[0]),
    ).not.toContain(4);
    expect(runner.freePlaces).toBe(4);
  });

  test("frees the place of a reader that gave up before it read anything", async () => {
    const { engine, runner } = start({ maxSequences: 1, eosIds: [] });
    await ask(engine, [4, 4]).return();
    expect(await answer(ask(engine, [5, 5], { maxTokens: 2 }))).toHaveLength(2);
    expect(runner.freePlaces).toBe(1);
  });

  test("fails an aborted reader with the signal's reason, even one that waits in the queue", async () => {
    const hold = gate();
    const { engine } = start({ maxSequences: 1, before: () => hold.opened });
    const running = ask(engine, [4, 4]);
    await running.next();
    const abort = new AbortController();
    const waiting = ask(engine, [5, 5], {}, abort.signal).next();
    abort.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    expect(() => ask(engine, [5, 5], {}, abort.signal)).toThrow("gone");
    hold.open();
    await rest(running);
    expect(engine.snapshot()).toMatchObject({ queued: [], running: [] });
  });

  test("leaves every sequence as it was when a step fails, and goes on", async () => {
    const ids = [4, 5, 6];
    const { engine: calm } = start({ eosIds: [] });
    const expected = await Promise.all(ids.map((id) => answer(ask(calm, [id, id], { maxTokens: 12 }))));
    let steps = 0;
    const { engine } = start({
      eosIds: [],
      before: (batch) => {
        if (++steps % 3 === 0 && batch.length > 1) throw new Error("out of luck");
      },
    });
    expect(await Promise.all(ids.map((id) => answer(ask(engine, [id, id], { maxTokens: 12 }))))).toEqual(expected);
  });

  test("ends only the sequence that a step fails for", async () => {
    const logits: Script["logits"] = (seen, out) =>
      seen[0] === 13 && seen.length > 4 ? out.fill(Number.NaN) : hashed(64)(seen, out);
    const { engine } = start({ eosIds: [], logits });
    const broken = answer(ask(engine, [13, 13], { maxTokens: 12 }));
    const fine = answer(ask(engine, [5, 5], { maxTokens: 12 }));
    await expect(broken).rejects.toBeInstanceOf(LogitsError);
    expect(await fine).toHaveLength(12);
    expect(engine.snapshot().running).toEqual([]);
  });

  test("fails everyone with EngineClosedError on close, and disposes the runner", async () => {
    const hold = gate();
    const { engine, runner } = start({ maxSequences: 1, before: () => hold.opened });
    const readers = [ask(engine, [4, 4]), ask(engine, [5, 5])];
    const failures = readers.map((reader) => rest(reader).catch((error: unknown) => error));
    await engine.close();
    for (const failure of await Promise.all(failures)) expect(failure).toBeInstanceOf(EngineClosedError);
    expect(runner).toMatchObject({ disposed: true, freePlaces: 1 });
    expect(() => ask(engine, [4, 4])).toThrow(EngineClosedError);
  });

  test("fails everyone, and takes nobody any more, when it fails itself", async () => {
    const { engine, runner } = start({ eosIds: [] });
    runner.allocate = () => {
      throw new Error("no places in this world");
    };
    await expect(rest(ask(engine, [4, 4]))).rejects.toThrow("no places in this world");
    expect(() => ask(engine, [4, 4])).toThrow(EngineClosedError);
  });

  test("gives alone = batched, and loses no place, whoever joins, leaves and dawdles (scripted)", async () => {
    await fc.assert(
      fc.asyncProperty(
        scenario(60),
        async ({ requests, maxSequences, chunkAlone, chunkBesideDecoding, windowTokens }) => {
          const options = { chunkAlone, chunkBesideDecoding, windowTokens };
          await aloneIsBatched(
            requests,
            options,
            () => new ScriptedRunner({ logits: hashed(64), maxSequences, eosIds: [1, 2] }),
          );
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each(["native", "stock"] as const)(
    "gives alone = batched = cached = guessed on a real graph: %s runner",
    async (kind) => {
      const runtime = new Runtime();
      closers.push(async () => runtime.close());
      const folder = await readModelFolder(fileURLToPath(new URL("../fixtures/onnx/tiny-int4", import.meta.url)));
      await fc.assert(
        fc.asyncProperty(
          scenario(370),
          async ({ requests, maxSequences, chunkAlone, chunkBesideDecoding, windowTokens }) => {
            const options = { chunkAlone, chunkBesideDecoding, windowTokens };
            const open = async () => {
              const { runner } = await openRunner(runtime, folder, { runner: kind, maxSequences, threads: 1 });
              return runner;
            };
            await aloneIsBatched(requests, options, open, "all");
          },
        ),
        { numRuns: 10 },
      );
    },
  );
});

interface Request {
  readonly ids: number[];
  readonly maxTokens: number;
  readonly seed: bigint;
  readonly greedy: boolean;
  /** Leaves after so many events; absent: reads to the end. */
  readonly leavesAfter: number | null;
  /** Other things happen before it is asked and between its reads. */
  readonly pauses: number[];
}

function scenario(vocabulary: number) {
  const request = fc.record<Request>({
    // Some share a beginning.
    ids: fc
      .tuple(
        fc.integer({ min: 0, max: 20 }),
        fc.array(fc.integer({ min: 3, max: vocabulary - 1 }), { minLength: 1, maxLength: 24 }),
      )
      .map(([shared, own]) => [...Array.from({ length: shared }, (_, i) => 3 + i), ...own]),
    maxTokens: fc.integer({ min: 1, max: 20 }),
    seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    greedy: fc.boolean(),
    leavesAfter: fc.option(fc.integer({ min: 0, max: 12 })),
    pauses: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 }),
  });
  return fc.record({
    requests: fc.array(request, { minLength: 1, maxLength: 9 }),
    maxSequences: fc.integer({ min: 1, max: 4 }),
    chunkAlone: fc.integer({ min: 1, max: 16 }),
    chunkBesideDecoding: fc.integer({ min: 1, max: 8 }),
    windowTokens: fc.integer({ min: 1, max: 6 }),
  });
}

async function aloneIsBatched(
  requests: readonly Request[],
  options: EngineOptions,
  open: () => ModelRunner | Promise<ModelRunner>,
  cacheScope?: string,
): Promise<void> {
  const runner = await open();
  const found: string[] = [];
  const engine = new Engine(runner, {
    ...options,
    onStep: (snapshot) => found.push(...violations({ ...snapshot, ...counted(runner) })),
  });
  const read = async (request: Request, alone: boolean): Promise<number[]> => {
    const wait = async (i: number) => {
      for (let n = request.pauses[i % request.pauses.length]!; n > 0 && !alone; n--) await Promise.resolve();
    };
    await wait(0);
    const reader = engine.generate({
      ids: request.ids,
      options: { ...(request.greedy ? greedy : sampled(request.seed)), maxTokens: request.maxTokens },
      ...(cacheScope && !alone && { cacheScope }),
    });
    const events: TokenEvent[] = [];
    while (alone || request.leavesAfter === null || events.length < request.leavesAfter) {
      const { done, value } = await reader.next();
      if (done) return tokens(events);
      events.push(value);
      await wait(events.length);
    }
    await reader.return();
    return tokens(events);
  };
  try {
    const alone: number[][] = [];
    for (const request of requests) alone.push(await read(request, true));
    const batched = await Promise.all(requests.map((request) => read(request, false)));
    batched.forEach((ids, i) => {
      expect(ids).toEqual(requests[i]!.leavesAfter === null ? alone[i] : alone[i]!.slice(0, ids.length));
    });
    // Everyone has gone: the next one finds every place free.
    await read({ ...requests[0]!, leavesAfter: null }, true);
    expect(engine.snapshot()).toMatchObject({ queued: [], running: [] });
    if (runner instanceof ScriptedRunner) expect(runner.freePlaces).toBe(runner.maxSequences);
    expect(found).toEqual([]);
  } finally {
    await engine.close();
  }
}

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
