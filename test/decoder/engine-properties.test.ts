// An engine under whatever comes: requests of several callers that share beginnings, leave, dawdle, have deadlines and
// priorities, on a runner whose cache is short and whose steps fail, on a clock that only steps advance. Whatever happens, each
// gets what a loop of ten lines gives it alone.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Engine, type EngineOptions } from "../../server/decoder/engine.ts";
import { DeadlineExpiredError, DeadlineUnreachableError, QueueFullError } from "../../server/decoder/errors.ts";
import { violations } from "../../server/decoder/invariants.ts";
import { pickToken } from "../../server/decoder/pick.ts";
import { uniform } from "../../server/decoder/random.ts";
import type { GenerateInput } from "../../server/decoder/request.ts";
import type { TokenEvent } from "../../server/decoder/sequence.ts";
import { hashed, ScriptedRunner } from "./scripted-runner.ts";

const vocabSize = 24;
const eosIds = [1, 2];
const logitsOf = hashed(vocabSize);
const blockTokens = 4;

type Told = Pick<TokenEvent & { type: "token" }, "id" | "logprob" | "top">;
type Options = GenerateInput["options"] & { readonly maxTokens: number };

/** The answer as a loop makes it that has the model to itself and no cache. */
function alone(ids: readonly number[], options: Options): { told: Told[]; reason: string } {
  const told: Told[] = [];
  for (;;) {
    const tokens = Int32Array.from([...ids, ...told.map(({ id }) => id)]);
    const logits = new Float32Array(vocabSize);
    logitsOf([...tokens], logits);
    const stops = options.stopTokenIds ?? [];
    const endings = [...stops, ...(options.ignoreEos ? [] : eosIds)];
    const banned = told.length < (options.minTokens ?? 0) ? endings : [];
    const draw = uniform(options.seed, tokens.length);
    const picked = pickToken(logits, { options, tokens, promptLength: ids.length, banned }, draw);
    if (!options.ignoreEos && eosIds.includes(picked.id)) return { told, reason: "eos" };
    if (stops.includes(picked.id)) return { told, reason: "stop" };
    told.push(picked);
    if (told.length === options.maxTokens) return { told, reason: "length" };
  }
}

/** Guesses what comes, rightly as often as `odds` says. */
class Guesser {
  readonly #odds: number;
  constructor(odds: number) {
    this.#odds = odds;
  }
  draft(tokens: Int32Array, most: number): Int32Array {
    const guessed = [...tokens];
    while (guessed.length < tokens.length + most) {
      const logits = new Float32Array(vocabSize);
      logitsOf(guessed, logits);
      const best = logits.indexOf(Math.max(...logits));
      guessed.push(uniform(7n, guessed.length) < this.#odds ? best : (best + 1) % vocabSize);
    }
    return Int32Array.from(guessed.slice(tokens.length));
  }
}

interface Request {
  readonly input: GenerateInput & { readonly ids: number[]; readonly options: Options };
  readonly deadlineAfterMs: number | null;
  readonly leavesAfter: number | null;
  /** Turns of other things before it is asked, and between its reads. */
  readonly arrives: number;
  readonly pauses: readonly number[];
}

interface World {
  readonly requests: readonly Request[];
  readonly maxSequences: number;
  readonly morePlaces: number;
  readonly cacheBlocks: number;
  /** Of so many forwards one fails; 0: none does. */
  readonly failing: number;
  readonly guesses: number | null;
  readonly options: EngineOptions;
}

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const options: fc.Arbitrary<Options> = fc
  .record({
    temperature: fc.constantFrom(0, 0.7, 1.3),
    topK: fc.constantFrom(0, 5),
    topP: fc.constantFrom(1, 0.9),
    seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    maxTokens: fc.integer({ min: 1, max: 20 }),
    minTokens: optional(fc.integer({ min: 0, max: 6 })),
    stopTokenIds: optional(fc.constantFrom([5], [6, 7])),
    ignoreEos: optional(fc.boolean()),
    logprobs: optional(fc.constantFrom(0, 3)),
    repetitionPenalty: optional(fc.constantFrom(1.2)),
    frequencyPenalty: optional(fc.constantFrom(0.4)),
  })
  .map((made) => {
    const given = Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined));
    return { ...given, minTokens: Math.min(made.minTokens ?? 0, made.maxTokens) } as Options;
  });

const request: fc.Arbitrary<Request> = fc
  .record({
    shared: fc.integer({ min: 0, max: 20 }),
    own: fc.array(fc.integer({ min: 3, max: vocabSize - 1 }), { minLength: 1, maxLength: 20 }),
    options,
    cacheScope: optional(fc.constantFrom("one", "two")),
    caller: fc.constantFrom("ann", "ben", "cem"),
    priority: fc.integer({ min: -1, max: 1 }),
    deadlineAfterMs: fc.option(fc.integer({ min: 50, max: 6000 }), { freq: 4 }),
    leavesAfter: fc.option(fc.integer({ min: 0, max: 12 }), { freq: 3 }),
    arrives: fc.integer({ min: 0, max: 120 }),
    pauses: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 }),
  })
  .map(({ shared, own, cacheScope, caller, priority, options, ...rest }) => {
    const ids = [...Array.from({ length: shared }, (_, i) => 3 + (i % 20)), ...own];
    return { ...rest, input: { ids, options, caller, priority, ...(cacheScope && { cacheScope }) } };
  });

const world: fc.Arbitrary<World> = fc.record({
  requests: fc.array(request, { minLength: 1, maxLength: 12 }),
  maxSequences: fc.integer({ min: 1, max: 5 }),
  morePlaces: fc.integer({ min: 0, max: 6 }),
  // At least what the longest request takes.
  cacheBlocks: fc.integer({ min: 15, max: 80 }),
  failing: fc.constantFrom(0, 0, 3, 7),
  guesses: fc.option(fc.constantFrom(0, 0.5, 0.9, 1)),
  options: fc.record(
    {
      queueLimit: fc.integer({ min: 1, max: 12 }),
      windowTokens: fc.integer({ min: 1, max: 8 }),
      chunkAlone: fc.integer({ min: 1, max: 24 }),
      chunkBesideDecoding: fc.integer({ min: 1, max: 12 }),
      prefixCache: fc.boolean(),
      agingMs: fc.constantFrom(200, 15_000),
      costs: fc.constantFrom({ stepMs: 90, promptTokenMs: 9.5 }),
    },
    { requiredKeys: [] },
  ),
});

/** What came of a request: what it was told, and how it ended. */
interface Outcome {
  readonly told: Told[];
  readonly reason: string | undefined;
  readonly error: unknown;
}

async function play({ requests, maxSequences, morePlaces, cacheBlocks, failing, guesses, options }: World) {
  let clock = 0;
  let forwards = 0;
  let states = 0;
  const found: string[] = [];
  const runner = new ScriptedRunner({
    logits: logitsOf,
    vocabSize,
    eosIds,
    maxSequences,
    cacheBlocks,
    places: maxSequences + morePlaces,
    before: (batch) => {
      clock += 80 + 10 * batch.reduce((sum, { tokens }) => sum + tokens.length, 0);
      if (failing > 0 && ++forwards % failing === 0) throw new Error("out of luck");
    },
  });
  const engine = new Engine(runner, {
    ...options,
    now: () => clock,
    speculate: guesses !== null,
    ...(guesses !== null && { lookup: () => new Guesser(guesses) }),
    onStep: (snapshot) => {
      if (++states > 20_000) throw new Error("it goes round in circles");
      const { freePlaces, places, heldBlocks } = runner;
      found.push(...violations({ ...snapshot, runner: { freePlaces, places, heldBlocks } }));
    },
  });
  const turns = async (count: number) => {
    for (let n = count; n > 0; n--) await Promise.resolve();
  };
  const ask = async ({ input, deadlineAfterMs, leavesAfter, arrives, pauses }: Request): Promise<Outcome> => {
    await turns(arrives);
    const told: Told[] = [];
    let reads = 0;
    try {
      const deadlineMs = deadlineAfterMs === null ? undefined : clock + deadlineAfterMs;
      const reader = engine.generate({ ...input, ...(deadlineMs !== undefined && { deadlineMs }) });
      for await (const event of reader) {
        if (event.type === "token") {
          const { id, logprob, top } = event;
          told.push({ id, ...(logprob !== undefined && { logprob }), ...(top && { top }) });
        }
        if (event.type === "finish") return { told, reason: event.reason, error: undefined };
        if (leavesAfter !== null && reads >= leavesAfter) return { told, reason: undefined, error: undefined };
        await turns(pauses[reads++ % pauses.length]!);
      }
      return { told, reason: undefined, error: undefined };
    } catch (error) {
      return { told, reason: undefined, error };
    }
  };
  const outcomes = await Promise.all(requests.map(ask));
  await turns(10);
  const left = engine.snapshot();
  const metrics = engine.metrics();
  const steps = runner.log.length;
  const heldAtEnd = { places: runner.places - runner.freePlaces, blocks: runner.heldBlocks };
  await engine.close();
  return { outcomes, found, left, metrics, steps, heldAtEnd, runner };
}

const known = [DeadlineExpiredError, DeadlineUnreachableError, QueueFullError];

describe("whatever comes, an engine", () => {
  test("gives alone = batched = cached = guessed, ends everyone, and keeps nothing but what may be of use", async () => {
    await fc.assert(
      fc.asyncProperty(world, async (made) => {
        const { outcomes, found, left, metrics, steps, heldAtEnd, runner } = await play(made);
        expect(found).toEqual([]);
        for (const [i, { told, reason, error }] of outcomes.entries()) {
          const { ids, options } = made.requests[i]!.input;
          const expected = alone(ids, options);
          expect(told).toEqual(reason === undefined ? expected.told.slice(0, told.length) : expected.told);
          if (reason !== undefined) expect(reason).toBe(expected.reason);
          const forgiven = known.some((kind) => error instanceof kind) || (made.failing > 0 && error instanceof Error);
          if (error !== undefined && !forgiven) throw error;
        }
        expect(left).toMatchObject({ queued: [], running: [] });
        // Places and blocks are free, or with what has ended.
        expect(heldAtEnd.places).toBe(left.residents.length);
        expect(left.residents.length === 0).toBe(heldAtEnd.blocks === 0);
        expect(runner).toMatchObject({ heldBlocks: 0, freePlaces: runner.places });
        const ended = Object.values(metrics.outcomes).reduce((sum, count) => sum + count, 0);
        expect(ended).toBe(made.requests.length);
        // Nobody is computed anew without end.
        const work = made.requests.reduce((sum, { input }) => sum + input.ids.length + input.options.maxTokens, 0);
        expect(steps).toBeLessThanOrEqual(8 * work);
      }),
      { numRuns: 400, endOnFailure: true },
    );
  }, 60_000);

  test("with a cache that only just holds the longest request, gives everyone who stays the whole answer", async () => {
    await fc.assert(
      fc.asyncProperty(world, async (made) => {
        const longest = Math.max(...made.requests.map(({ input }) => input.ids.length + input.options.maxTokens));
        const tight = {
          ...made,
          failing: 0,
          cacheBlocks: Math.ceil(longest / blockTokens),
          options: { ...made.options, queueLimit: 12 },
          requests: made.requests.map((each) => ({ ...each, deadlineAfterMs: null, leavesAfter: null })),
        };
        const { outcomes, found } = await play(tight);
        expect(found).toEqual([]);
        for (const [i, { told, reason, error }] of outcomes.entries()) {
          const { ids, options } = tight.requests[i]!.input;
          expect({ told, reason, error }).toEqual({ ...alone(ids, options), error: undefined });
        }
      }),
      { numRuns: 200, endOnFailure: true },
    );
  }, 60_000);
});
