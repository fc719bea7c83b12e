// What an engine promises to many callers: what is reused, who goes first, what is refused, what is guessed. On a scripted
// runner, whose clock only its steps advance.

import { afterEach, describe, expect, test } from "vitest";
import type { TokenConstraint } from "../../server/decoder/constraint.ts";
import { Engine, type EngineOptions } from "../../server/decoder/engine.ts";
import {
  CacheTooSmallError,
  DeadlineExpiredError,
  DeadlineUnreachableError,
  QueueFullError,
} from "../../server/decoder/errors.ts";
import { violations } from "../../server/decoder/invariants.ts";
import type { GenerateInput } from "../../server/decoder/request.ts";
import type { TokenEvent } from "../../server/decoder/sequence.ts";
import type { SequenceReader } from "../../server/decoder/sequence-reader.ts";
import { hashed, type Script, ScriptedRunner } from "./scripted-runner.ts";

const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0n };
const costs = { stepMs: 90, promptTokenMs: 10 };
const engines: Engine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

/** An engine on a machine where a step takes 80 ms and 10 for each token, with its invariants checked before every step. */
function start(script: Partial<Script> = {}, options: EngineOptions = {}) {
  const clock = { ms: 0 };
  const runner = new ScriptedRunner({
    logits: hashed(64),
    eosIds: [],
    contextLength: 4096,
    maxTokens: 128,
    places: 16,
    ...script,
    before: async (batch) => {
      await script.before?.(batch);
      clock.ms += 80 + 10 * batch.reduce((sum, { tokens }) => sum + tokens.length, 0);
    },
  });
  const engine = new Engine(runner, {
    now: () => clock.ms,
    speculate: false,
    ...options,
    onStep: (snapshot) => {
      const { freePlaces, places, heldBlocks } = runner;
      const found = violations({ ...snapshot, runner: { freePlaces, places, heldBlocks } });
      if (found.length > 0) throw new Error(found.join("; "));
      options.onStep?.(snapshot);
    },
  });
  engines.push(engine);
  return { engine, runner, clock };
}

type Asked = Omit<Partial<GenerateInput>, "options"> & { options?: Partial<GenerateInput["options"]> };
const ask = (engine: Engine, ids: readonly number[], { options, ...rest }: Asked = {}) =>
  engine.generate({ ids, options: { ...greedy, ...options }, ...rest });

async function rest(reader: SequenceReader): Promise<TokenEvent[]> {
  const events: TokenEvent[] = [];
  for await (const event of reader) events.push(event);
  return events;
}
const tokens = (events: readonly TokenEvent[]) => events.flatMap((event) => (event.type === "token" ? [event.id] : []));
const cachedOf = ([first]: readonly TokenEvent[]) => (first?.type === "start" ? first.cachedTokens : undefined);
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => 3 + ((i * i * 7 + i * seed * 13) % 60));
const computed = (runner: ScriptedRunner) => runner.log.flat().reduce((sum, [, ids]) => sum + ids.length, 0);

describe("what has been computed", () => {
  test("is not computed again in a conversation of ten turns: its prompts cost what is new", async () => {
    const { engine, runner } = start();
    let ids = text(40);
    let fresh = 0;
    let generated = 0;
    for (let turn = 0; turn < 10; turn++) {
      const answer = tokens(await rest(ask(engine, ids, { cacheScope: "me", options: { maxTokens: 30 } })));
      generated += answer.length - 1;
      fresh += turn === 0 ? 40 : 20;
      ids = [...ids, ...answer, ...text(20, turn + 2)];
    }
    // Of each answer the last token was picked but never computed.
    expect(computed(runner) - generated).toBe(fresh + 9);
    expect(computed(runner) - generated).toBeLessThanOrEqual(1.05 * fresh);
    // One place holds it all.
    expect(engine.snapshot().residents).toHaveLength(1);
  });

  test("is taken over by who comes later with the same beginning, from a running one and from an ended one", async () => {
    const { engine, runner, clock } = start();
    const system = text(1000);
    const timed = async (own: number[]) => {
      const asked = clock.ms;
      const reader = ask(engine, [...system, ...own], { cacheScope: "all", options: { maxTokens: 200 } });
      const start = (await reader.next()).value as TokenEvent;
      await reader.next();
      return { reader, start, ms: clock.ms - asked };
    };
    const first = await timed([4, 5, 6]);
    const beside = await timed([7, 8, 9]);
    await first.reader.return();
    await beside.reader.return();
    const after = await timed([10, 11]);
    expect([first, beside, after].map(({ start }) => cachedOf([start]))).toEqual([0, 1000, 1000]);
    expect(first.ms).toBeGreaterThan(10 * beside.ms);
    expect(first.ms).toBeGreaterThan(10 * after.ms);
    const prompts = runner.log.flat().filter(([, ids]) => ids.length > 1);
    expect(prompts.reduce((sum, [, ids]) => sum + ids.length, 0)).toBe(1003 + 3 + 2);
  });

  test("is waited for by who comes while it is being computed", async () => {
    const { engine, runner } = start();
    const ids = text(500);
    const input = { cacheScope: "all", options: { maxTokens: 3 } };
    const events = await Promise.all(Array.from({ length: 4 }, (_, i) => rest(ask(engine, [...ids, 4 + i], input))));
    expect(events.map(cachedOf)).toEqual([0, 500, 500, 500]);
    expect(computed(runner)).toBe(501 + 3 * 1 + 4 * 2);
  });

  test("makes room when blocks are needed, the least recently used first, and counts as memory in use until then", async () => {
    const { engine, runner } = start({ cacheBlocks: 60 });
    const asks = [1, 2, 3].map((seed) => text(60, seed));
    for (const ids of asks) await rest(ask(engine, ids, { cacheScope: "all", options: { maxTokens: 5 } }));
    expect(engine.metrics()).toMatchObject({ cacheTokens: 240, cacheTokensUsed: 192, cacheTokensIdle: 192 });
    await rest(ask(engine, [...asks[0]!, 3], { cacheScope: "all", options: { maxTokens: 5 } }));
    expect(cachedOf(await rest(ask(engine, text(100, 9), { options: { maxTokens: 20 } })))).toBe(0);
    const cached: (number | undefined)[] = [];
    for (const ids of [asks[0]!, asks[1]!])
      cached.push(cachedOf(await rest(ask(engine, ids, { cacheScope: "all", options: { maxTokens: 1 } }))));
    expect(cached).toEqual([59, 0]);
    expect(runner.heldBlocks).toBeLessThanOrEqual(60);
  });

  test("is given up when only one that has left while it waited could use it", async () => {
    const { engine, runner } = start({ maxSequences: 1 });
    const left = ask(engine, text(50), { options: { maxTokens: 100 } });
    await left.next();
    await left.next();
    const urgent = ask(engine, text(50, 2), { priority: 1, options: { maxTokens: 10 } });
    await urgent.next();
    expect(engine.snapshot().residents).toHaveLength(1);
    await left.return();
    await rest(urgent);
    expect(runner).toMatchObject({ freePlaces: runner.places, heldBlocks: 0 });
  });

  test("is no use to other scopes, nor to anyone when that is said", async () => {
    const asked = (engine: Engine, cacheScope?: string) =>
      rest(ask(engine, text(50), { ...(cacheScope && { cacheScope }), options: { maxTokens: 2 } }));
    const { engine, runner } = start();
    for (const scope of ["one", "other", undefined, undefined]) expect(cachedOf(await asked(engine, scope))).toBe(0);
    expect(runner.places - runner.freePlaces).toBe(2);
    const { engine: forgetful } = start({}, { prefixCache: false });
    for (const scope of ["one", "one"]) expect(cachedOf(await asked(forgetful, scope))).toBe(0);
  });
});

describe("room in the cache", () => {
  test("is refused with the plain sum to what could never fit, and what is asked without a limit is limited", async () => {
    const { engine } = start({ cacheBlocks: 10 });
    expect(() => ask(engine, text(30), { options: { maxTokens: 11 } })).toThrow(CacheTooSmallError);
    expect(() => ask(engine, text(30), { options: { maxTokens: 11 } })).toThrow(
      /30 tokens and max_tokens of 11 are 41.*40.*at most 10/,
    );
    expect(() => ask(engine, text(40))).toThrow(/Shorten the prompt/);
    expect(tokens(await rest(ask(engine, text(30))))).toHaveLength(10);
    expect(engine.metrics().outcomes).toMatchObject({ refused: 3, length: 1 });
  });

  test("is taken as answers grow: who cannot grow any more waits for the others, and loses no token", async () => {
    const expected = [];
    for (const seed of [1, 2, 3]) {
      const { engine } = start();
      expected.push(tokens(await rest(ask(engine, text(30, seed), { options: { maxTokens: 60 } }))));
    }
    const { engine } = start({ cacheBlocks: 30 });
    const events = await Promise.all(
      [1, 2, 3].map((seed) => rest(ask(engine, text(30, seed), { options: { maxTokens: 60 } }))),
    );
    expect(events.map(tokens)).toEqual(expected);
    expect(engine.metrics().preemptions).toBeGreaterThan(0);
  });
});

describe("a step that fails", () => {
  test("leaves everything as it was before it, entry for entry", async () => {
    /** Without blocks: those that a failed step took stay with their places, and count when a step is committed. */
    const view = (of: Engine) => {
      const { running, queued, residents } = of.snapshot();
      return { running: running.map((each) => ({ ...each, unread: 0 })), queued, residents };
    };
    const seen: { failed: boolean; state: ReturnType<typeof view> }[] = [];
    let forwards = 0;
    const before: Script["before"] = (batch) => {
      const failed = ++forwards > 6 && batch.length > 1;
      seen.push({ failed, state: view(engine) });
      if (failed) throw new Error("out of luck");
    };
    const { engine } = start({ before }, { speculate: true, chunkBesideDecoding: 8 });
    const asks = [text(40, 1), text(90, 2), text(70, 3)];
    await Promise.all(asks.map((ids) => rest(ask(engine, ids, { options: { maxTokens: 12 } }))));
    const pairs = seen.flatMap((each, i) => (each.failed ? [[each.state, seen[i + 1]!.state] as const] : []));
    expect(pairs.length).toBeGreaterThan(5);
    for (const [failed, next] of pairs) expect(next).toEqual(failed);
  });
});

describe("a request with a deadline", () => {
  test("is refused before anything is spent when its first token cannot come in time, with both times", async () => {
    const { engine, runner } = start({}, { costs });
    const thrown = refusal(() => ask(engine, text(400), { deadlineMs: 2000 }));
    expect(thrown).toBeInstanceOf(DeadlineUnreachableError);
    expect(thrown).toMatchObject({ remainingMs: 2000, estimateMs: 4400 });
    expect((thrown as DeadlineUnreachableError).retryAfterMs).toBeGreaterThan(0);
    expect(runner.log).toEqual([]);
    expect(await rest(ask(engine, text(400), { deadlineMs: 5000, options: { maxTokens: 1 } }))).toHaveLength(3);
    expect(refusal(() => ask(engine, text(4), { deadlineMs: 100 }))).toBeInstanceOf(DeadlineExpiredError);
  });

  test("is let in when nobody is ahead of it and nothing was measured of late, which shows what steps cost now", async () => {
    const { engine, clock } = start({}, { costs: { stepMs: 900, promptTokenMs: 100 } });
    const asked = () => ask(engine, text(40), { deadlineMs: clock.ms + 1000, options: { maxTokens: 1 } });
    expect(refusal(asked)).toBeInstanceOf(DeadlineUnreachableError);
    clock.ms += 61_000;
    expect(await rest(asked())).toHaveLength(3);
    expect(await rest(asked())).toHaveLength(3);
  });

  test("counts what is ahead of it, and what is in the cache for it", async () => {
    const { engine, clock } = start({ maxSequences: 1 }, { costs });
    const others = [1, 2].map((seed) => rest(ask(engine, text(100, seed), { options: { maxTokens: 50 } })));
    expect(refusal(() => ask(engine, text(10), { deadlineMs: 5000 }))).toMatchObject({
      name: "DeadlineUnreachableError",
    });
    await Promise.all(others);
    await rest(ask(engine, text(400), { cacheScope: "all", options: { maxTokens: 1 } }));
    const deadlineMs = clock.ms + 1000;
    expect(refusal(() => ask(engine, text(400), { deadlineMs }))).toBeInstanceOf(DeadlineUnreachableError);
    expect(
      await rest(ask(engine, text(400), { deadlineMs, cacheScope: "all", options: { maxTokens: 1 } })),
    ).toHaveLength(3);
  });

  test("ends before the next step when it has passed, whether it waits, runs or its reader is away", async () => {
    const { engine, clock } = start({ maxSequences: 1 });
    const running = ask(engine, text(10), { deadlineMs: 1000, options: { maxTokens: 100 } });
    const waiting = ask(engine, text(10, 2), { deadlineMs: 1000 }).next();
    await expect(rest(running)).rejects.toThrow(DeadlineExpiredError);
    await expect(waiting).rejects.toThrow(DeadlineExpiredError);
    expect(clock.ms).toBeGreaterThanOrEqual(1000);
    expect(clock.ms).toBeLessThan(1000 + 2 * 90);
    expect(engine.metrics().outcomes.expired).toBe(2);
    expect(engine.snapshot()).toMatchObject({ running: [], queued: [] });
  });
});

describe("who goes first", () => {
  const order = async (
    script: Partial<Script>,
    options: EngineOptions,
    asks: [name: string, Asked & { ids: number[] }][],
  ) => {
    const { engine, runner } = start(script, options);
    const ends: string[] = [];
    await Promise.all(
      asks.map(async ([name, { ids, ...asked }]) => {
        await rest(ask(engine, ids, asked));
        ends.push(name);
      }),
    );
    return { ends, runner, engine };
  };

  test("is the more urgent, even where that takes the place of one that runs, which goes on where it was", async () => {
    const { engine, runner } = start({ maxSequences: 1 });
    const ends: string[] = [];
    const run = async (name: string, asked: Asked, ids: number[]) => {
      const events = await rest(ask(engine, ids, { options: { maxTokens: 10 }, ...asked }));
      ends.push(name);
      return tokens(events);
    };
    const slow = ask(engine, text(50), { priority: -1, options: { maxTokens: 10 } });
    await slow.next();
    await slow.next();
    const calm = rest(slow).then((events) => ends.push("calm") && tokens(events));
    await Promise.all([run("usual", {}, text(20, 2)), run("urgent", { priority: 1 }, text(20, 3)), calm]);
    expect(ends).toEqual(["urgent", "usual", "calm"]);
    expect(computed(runner)).toBe(50 + 20 + 20 + 3 * 9);
  });

  test("is each caller in turn, however many requests one has", async () => {
    const many = [1, 2, 3, 4, 5, 6].map((seed): [string, Asked & { ids: number[] }] => [
      `many ${seed}`,
      { ids: text(20, seed), caller: "many", options: { maxTokens: 8 } },
    ]);
    const few: [string, Asked & { ids: number[] }] = [
      "few",
      { ids: text(20, 9), caller: "few", options: { maxTokens: 8 } },
    ];
    const { ends, engine } = await order({ maxSequences: 2 }, {}, [...many, few]);
    expect(ends.indexOf("few")).toBeLessThanOrEqual(2);
    expect(engine.metrics().preemptions).toBeLessThanOrEqual(1);
  });

  test("a caller that has all places gives one to the next caller at once", async () => {
    const { engine } = start({ maxSequences: 4 });
    const many = [1, 2, 3, 4, 5].map((seed) =>
      ask(engine, text(20, seed), { caller: "many", options: { maxTokens: 50 } }),
    );
    for (const reader of many.slice(0, 4)) await reader.next();
    const all = many.map((reader) => rest(reader));
    const one = ask(engine, text(20, 7), { caller: "one", options: { maxTokens: 3 } });
    expect(tokens(await rest(one))).toHaveLength(3);
    expect(engine.load).toEqual({ running: 4, queued: 1 });
    expect((await Promise.all(all)).map((events) => tokens(events).length)).toEqual([49, 49, 49, 49, 50].map(() => 50));
  });

  test("is at last who is in no hurry, though urgent requests of others never cease", async () => {
    const { engine, runner } = start({ maxSequences: 2 }, { agingMs: 3000 });
    let over = false;
    const flood = async (seed: number) => {
      while (!over) await rest(ask(engine, text(12, seed), { priority: 2, caller: "many", options: { maxTokens: 6 } }));
    };
    const floods = [1, 2, 3, 4].map(flood);
    await Promise.resolve();
    const calm = tokens(
      await rest(ask(engine, text(40, 9), { priority: -1, caller: "calm", options: { maxTokens: 12 } })),
    );
    over = true;
    expect(calm).toHaveLength(12);
    // Three steps of priority are nine seconds, about eighty steps here; then it goes on to its end.
    expect(runner.log.length).toBeLessThan(200);
    await Promise.all(floods);
  });

  test("a full queue says so, with when to try again", async () => {
    const { engine } = start({ maxSequences: 1 }, { queueLimit: 2, costs });
    const asked = (seed: number) => ask(engine, text(10, seed), { options: { maxTokens: 20 } });
    await asked(1).next();
    asked(2);
    asked(3);
    const thrown = refusal(() => asked(4));
    expect(thrown).toBeInstanceOf(QueueFullError);
    // When the one that runs has its 20 tokens, 90 ms each, one that waits makes room.
    expect(thrown).toMatchObject({ queueLimit: 2, retryAfterMs: 20 * 90 });
  });
});

describe("guessing ahead", () => {
  /** Goes on as the text before: after a token comes what followed it last, so that an answer repeats its prompt. */
  const repeating: Script["logits"] = (seen, logits) => {
    const last = seen.at(-1)!;
    const before = seen.lastIndexOf(last, -2);
    hashed(64)(seen, logits);
    logits[before >= 0 ? seen[before + 1]! : 3 + (last % 60)]! += 8;
  };
  const prompt = Array.from({ length: 60 }, (_, i) => 3 + i);

  test("takes less than half the steps where an answer repeats its prompt, for the same tokens", async () => {
    const { engine: plain, runner: slow } = start({ logits: repeating });
    const { engine, runner } = start({ logits: repeating }, { speculate: true });
    const asked = { options: { maxTokens: 50 } };
    const ids = [...prompt, 3, 4];
    const expected = tokens(await rest(ask(plain, ids, asked)));
    const events = await rest(ask(engine, ids, asked));
    expect(tokens(events)).toEqual(expected);
    expect(runner.log.length).toBeLessThan(slow.log.length / 2);
    const finish = events.at(-1)!;
    const work = finish.type === "finish" ? finish.work! : undefined;
    expect(work).toMatchObject({ steps: runner.log.length });
    expect(work!.accepted).toBe(50 - work!.steps);
    expect(engine.metrics()).toMatchObject({ draftedTokens: work!.drafted, acceptedTokens: work!.accepted });
  });

  test("hardly happens where an answer does not repeat anything", async () => {
    const { engine, runner } = start({ logits: hashed(64) }, { speculate: true });
    await rest(ask(engine, text(200), { options: { maxTokens: 200 } }));
    expect(runner.log.length).toBeLessThanOrEqual(203);
    expect(computed(runner)).toBeLessThan(1.1 * 400);
  });

  test.each<[string, EngineOptions]>([
    ["it is told not to", { speculate: false }],
    ["rows depend on their batch", { speculate: true, rowInvariant: false }],
  ])("does not happen when %s", async (_, options) => {
    const { engine, runner } = start({ logits: repeating }, options);
    await rest(ask(engine, [...prompt, 3, 4], { options: { maxTokens: 30 } }));
    expect(runner.log.slice(1).every((batch) => batch.every(([, ids]) => ids.length === 1))).toBe(true);
  });

  test("stops while many run", async () => {
    const script = { logits: repeating, maxSequences: 9 };
    const { engine, runner } = start(script, { speculate: true, chunkAlone: 1000, aloneStepMs: 1e6, costs });
    const asked = { options: { maxTokens: 20 } };
    const first = Array.from({ length: 9 }, (_, i) => rest(ask(engine, [...prompt, 3 + i, 4 + i], asked)));
    await Promise.all(first);
    expect(runner.log[0]).toHaveLength(9);
    for (const batch of runner.log.slice(1)) {
      if (batch.length > 4) expect(batch.every(([, ids]) => ids.length === 1)).toBe(true);
    }
  });
});

describe("a constrained answer", () => {
  /** Only the tokens of a word, one after the other; then it may only end. */
  class Word implements TokenConstraint {
    readonly word: readonly number[];
    at = 0;
    disposed = 0;
    constructor(...word: number[]) {
      this.word = word;
    }
    mask(logits: Float32Array) {
      const kept = logits[this.word[this.at]!]!;
      logits.fill(-Infinity);
      logits[this.word[this.at]!] = kept;
    }
    accept(id: number) {
      expect(id).toBe(this.word[this.at++]);
    }
    get finished() {
      return this.at === this.word.length;
    }
    dispose() {
      this.disposed++;
    }
  }

  test("is what may be, ends without a step for its end, and is freed", async () => {
    const { engine, runner } = start({}, { speculate: true });
    const constraint = new Word(9, 8, 7, 6);
    const events = await rest(ask(engine, text(20), { constraint, options: { maxTokens: 30 } }));
    expect(tokens(events)).toEqual([9, 8, 7, 6]);
    expect(events.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
    expect(runner.log).toHaveLength(4);
    expect(constraint.disposed).toBe(1);
  });

  test("is freed however it ends", async () => {
    const { engine } = start({ maxSequences: 1 }, { queueLimit: 1 });
    const constraints = Array.from({ length: 5 }, () => new Word(9, 8, 7, 6, 5, 4, 3));
    const [refused, late, left, waits, full] = constraints as [Word, Word, Word, Word, Word];
    expect(() => ask(engine, [], { constraint: refused })).toThrow();
    await expect(rest(ask(engine, text(20), { constraint: late, deadlineMs: 400 }))).rejects.toThrow(
      DeadlineExpiredError,
    );
    const reader = ask(engine, text(20), { constraint: left });
    await reader.next();
    const other = ask(engine, text(20), { constraint: waits });
    expect(() => ask(engine, text(20), { constraint: full })).toThrow(QueueFullError);
    await reader.return();
    await rest(other);
    expect(constraints.map(({ disposed }) => disposed)).toEqual([1, 1, 1, 1, 1]);
  });
});

test("metrics add up", async () => {
  const { engine, runner } = start({ maxSequences: 2 });
  const first = ask(engine, text(40), { cacheScope: "all", options: { maxTokens: 10 } });
  const left = ask(engine, text(30, 2), { options: { maxTokens: 50 } });
  await left.next();
  const abort = new AbortController();
  const aborted = engine.generate({ ids: text(9, 3), options: { ...greedy, maxTokens: 5 } }, abort.signal);
  abort.abort(new Error("gone"));
  await expect(aborted.next()).rejects.toThrow("gone");
  await rest(first);
  await left.return();
  await rest(ask(engine, [...text(40), 5], { cacheScope: "all", options: { maxTokens: 4 } }));
  const metrics = engine.metrics();
  expect(metrics).toMatchObject({ running: 0, waiting: 0, steps: runner.log.length, preemptions: 0 });
  expect(metrics).toMatchObject({ prefixQueriedTokens: 81, prefixFoundTokens: 40 });
  expect(metrics.promptTokens).toBe(40 + 30 + 1);
  expect(metrics.outcomes).toEqual({ stop: 1, length: 2, cancelled: 1, expired: 0, refused: 0, failed: 0 });
  expect(metrics.stepTokens.sum).toBe(computed(runner));
  expect(metrics.timeToFirstTokenSeconds.counts.reduce((sum, count) => sum + count, 0)).toBe(3);
});

test("what is computed for one that has left meanwhile is counted as wasted, and is no token of its answer", async () => {
  let leave: (() => void) | undefined;
  const { engine } = start({ before: () => leave?.() });
  const [stays, leaves] = [1, 2].map((seed) => ask(engine, text(20, seed), { options: { maxTokens: 9 } }));
  for (const reader of [stays!, leaves!]) await reader.next();
  leave = () => void leaves!.return();
  await rest(stays!);
  const { wastedTokens, generatedTokens } = engine.metrics();
  expect(wastedTokens).toBe(1);
  expect(generatedTokens).toBe(9 + 1);
});

function refusal(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}
