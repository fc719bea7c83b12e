import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TokenConstraint } from "../../server/decoder/constraint.ts";
import { LogitsError } from "../../server/decoder/errors.ts";
import { type PickRequest, pickToken } from "../../server/decoder/pick.ts";
import { uniform } from "../../server/decoder/random.ts";
import { type SamplingOptions, sample } from "../../server/decoder/sampler.ts";

const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1 };
const greedy: SamplingOptions = { temperature: 0, topK: 0, topP: 1 };

function request(options: PickRequest["options"], rest: Partial<PickRequest> = {}): PickRequest {
  return { options, tokens: Int32Array.of(0), promptLength: 1, ...rest };
}

/** Leaves these ids alone. */
function only(...ids: number[]): TokenConstraint {
  return {
    mask: (logits) => logits.set(logits.map((logit, id) => (ids.includes(id) ? logit : -Infinity))),
    accept: () => {},
    finished: false,
    dispose: () => {},
  };
}

/** What can be drawn and how likely it is: each id has one stretch of the numbers in [0, 1), whose borders are sought. */
function distribution(logits: readonly number[], asked: PickRequest): Map<number, number> {
  const at = (draw: number) => pickToken(Float32Array.from(logits), asked, draw).id;
  const found = new Map<number, number>();
  const look = (from: number, first: number, to: number, last: number) => {
    if (first === last || to - from < 1e-10) {
      found.set(first, (found.get(first) ?? 0) + to - from);
      return;
    }
    const middle = (from + to) / 2;
    const between = at(middle);
    look(from, first, middle, between);
    look(middle, between, to, last);
  };
  // Not to the very end, where rounding has the last word.
  look(0, at(0), 1, at(1 - 1e-9));
  return found;
}

const logit = fc.integer({ min: -96, max: 96 }).map((n) => n / 8);
const manyLogits = fc.array(logit, { minLength: 2, maxLength: 60 });

describe("a token is picked as Hugging Face transformers would", () => {
  interface Case {
    readonly options: Required<Omit<SamplingOptions, "logitBias">> & { readonly logitBias: [number, number][] };
    readonly logits: number[];
    readonly tokens: number[];
    readonly promptLength: number;
    readonly banned: number[];
    readonly probabilities: [number, number][];
    readonly logprobs: number[];
  }
  const table = new URL("../fixtures/recorded/sampling.json", import.meta.url);
  const { cases } = JSON.parse(readFileSync(table, "utf8")) as { cases: Case[] };

  test("each token of the recorded tables as often, and no other", () => {
    for (const { options, logits, tokens, promptLength, banned, probabilities } of cases) {
      const logitBias = new Map(options.logitBias);
      const asked = { options: { ...options, logitBias }, tokens: Int32Array.from(tokens), promptLength, banned };
      const found = distribution(logits, asked);
      // Below what can be found by halving, nothing is claimed; float32 holds 24 bits of a logit up to 200.
      const likely = probabilities.filter(([, probability]) => probability > 1e-8);
      for (const [id, probability] of likely) {
        expect(Math.abs((found.get(id) ?? 0) - probability), JSON.stringify(options)).toBeLessThan(1e-5);
      }
      for (const id of found.keys()) expect(probabilities.map(([id]) => id)).toContain(id);
    }
  });

  test("with the log-probabilities that the model's own logits have", () => {
    for (const { options, logits, tokens, promptLength, banned, logprobs } of cases) {
      const asked = { ...options, logitBias: new Map(options.logitBias), logprobs: 5 };
      const rest = { tokens: Int32Array.from(tokens), promptLength, banned };
      const { id, logprob, top } = pickToken(Float32Array.from(logits), { options: asked, ...rest }, 0.37);
      expect(logprob).toBeCloseTo(logprobs[id]!, 9);
      const order = logprobs.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
      expect(top?.map(({ id }) => id)).toEqual(order.slice(0, 5));
      for (const { id, logprob } of top!) expect(logprob).toBeCloseTo(logprobs[id]!, 9);
    }
  });
});

describe("the rules of a request", () => {
  test("change nothing when they are absent or off: the same token as the sampler alone", () => {
    const off = { minP: 0, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, logitBias: new Map() };
    const property = fc.property(
      manyLogits,
      fc.constantFrom(0, 0.5, 1, 2),
      fc.nat(70),
      fc.constantFrom(0.3, 0.9, 1),
      fc.nat(999),
      (values, temperature, topK, topP, n) => {
        const options = { temperature, topK, topP };
        const expected = sample(Float32Array.from(values), options, n / 1000);
        const rest = { tokens: Int32Array.of(0, 1, 1), banned: [] };
        for (const asked of [options, { ...options, ...off }, { ...options, logprobs: 3 }]) {
          expect(pickToken(Float32Array.from(values), request(asked, rest), n / 1000).id).toBe(expected);
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test("leave the model's likeliest token when greedy, unless a penalty or a bias makes it another", () => {
    const logits = [1, 3, 2.5, 0];
    const answer = { tokens: Int32Array.of(0, 1), promptLength: 1 };
    const picked = (options: Partial<SamplingOptions>, rest = answer) =>
      pickToken(Float32Array.from(logits), request({ ...greedy, ...options }, rest), 0).id;
    expect(picked({})).toBe(1);
    expect(picked({ presencePenalty: 0.6 })).toBe(2);
    expect(picked({ frequencyPenalty: 0.6 })).toBe(2);
    expect(picked({ repetitionPenalty: 1.3 })).toBe(2);
    expect(picked({ logitBias: new Map([[3, 4]]) })).toBe(3);
    // Of the prompt only the repetition penalty takes note.
    const prompt = { tokens: Int32Array.of(0, 1), promptLength: 2 };
    expect(picked({ presencePenalty: 2, frequencyPenalty: 2 }, prompt)).toBe(1);
    expect(picked({ repetitionPenalty: 1.3 }, prompt)).toBe(2);
  });

  test("count a token of the answer once for presence and repetition, and each time for frequency", () => {
    const rest = { tokens: Int32Array.of(2, 2, 1, 1, 1), promptLength: 2 };
    const logits = () => Float32Array.of(0, 4, 4);
    const leveled = (options: Partial<SamplingOptions>, id: number, left: number) => {
      const row = logits();
      pickToken(row, request({ ...greedy, ...options }, rest), 0);
      expect(row[id]).toBeCloseTo(left, 6);
    };
    leveled({ presencePenalty: 0.5 }, 1, 3.5);
    leveled({ frequencyPenalty: 0.5 }, 1, 2.5);
    leveled({ repetitionPenalty: 2 }, 1, 2);
    leveled({ repetitionPenalty: 2 }, 2, 2);
    leveled({ presencePenalty: 0.5, frequencyPenalty: 0.5 }, 2, 4);
    leveled({ repetitionPenalty: 2, presencePenalty: 0.5, frequencyPenalty: 0.25 }, 1, 2 - 0.5 - 0.75);
  });

  test("do not carry over from one call to the next", () => {
    const options = { ...greedy, repetitionPenalty: 2, presencePenalty: 1, frequencyPenalty: 1 };
    const first = { tokens: Int32Array.of(0, 1, 1), promptLength: 1 };
    for (let i = 0; i < 3; i++) {
      const row = Float32Array.of(4, 4, 4);
      pickToken(row, request(options, first), 0);
      expect([...row]).toEqual([2, -1, 4]);
      const other = Float32Array.of(4, 4, 4);
      pickToken(other, request(options, { tokens: Int32Array.of(2), promptLength: 1 }), 0);
      expect([...other]).toEqual([4, 4, 2]);
    }
  });

  test("never let a token with a bias of -100 come up, and nothing beside one of 100", () => {
    const property = fc.property(manyLogits, fc.nat(59), fc.nat(99), (values, at, n) => {
      const id = at % values.length;
      for (const options of [plain, greedy, { ...plain, topK: 5 }, { ...plain, topP: 0.9 }]) {
        const pick = (bias: number) => {
          const asked = request({ ...options, logitBias: new Map([[id, bias]]) });
          return pickToken(Float32Array.from(values), asked, n / 100).id;
        };
        expect(pick(-100)).not.toBe(id);
        expect(pick(100)).toBe(id);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });

  test("never let a banned token come up, nor one that the constraint excludes, whatever its bias", () => {
    const logits = [5, 4, 3, 2];
    const logitBias = new Map([
      [0, 100],
      [3, 100],
    ]);
    for (let i = 0; i < 40; i++) {
      const asked = request({ ...plain, logitBias }, { constraint: only(0, 1, 2), banned: [0] });
      expect([1, 2]).toContain(pickToken(Float32Array.from(logits), asked, i / 40).id);
    }
  });

  test("let the ban give way when the constraint leaves nothing else", () => {
    const asked = request(plain, { constraint: only(1), banned: [1, 1] });
    expect(pickToken(Float32Array.of(5, 4, 3), asked, 0.5).id).toBe(1);
    expect(() => pickToken(Float32Array.of(5, 4), request(plain, { banned: [0, 1] }), 0.5)).toThrow(LogitsError);
  });

  test("keep with min p exactly those that are likely enough beside the likeliest", () => {
    // Few distinct values, so that there are equals at the border.
    const few = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 2, maxLength: 40 });
    const property = fc.property(
      fc.oneof(few, manyLogits),
      fc.constantFrom(0.5, 1, 1.7),
      fc.constantFrom(0.011, 0.09, 0.33, 1),
      fc.constantFrom(0, 7, 30),
      (values, temperature, minP, topK) => {
        const largest = Math.max(...values);
        const order = values.map((_, id) => id).sort((a, b) => values[b]! - values[a]! || a - b);
        const expected = order
          .slice(0, topK || values.length)
          .filter((id) => Math.exp((values[id]! - largest) / temperature) >= minP);
        const found = distribution(values, request({ ...plain, temperature, minP, topK }));
        expect([...found.keys()].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
        const all = [...found.values()].reduce((a, b) => a + b, 0);
        expect(Math.abs(all - 1)).toBeLessThan(1e-9);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  test("hold for a repetition penalty so small that a logit would not be finite", () => {
    const asked = request({ ...greedy, repetitionPenalty: 1e-300 });
    expect(pickToken(Float32Array.of(1, 2, -3), asked, 0).id).toBe(0);
  });

  test("give the same token for the same row whatever was picked before", () => {
    const options = { ...plain, topP: 0.9, repetitionPenalty: 1.2, frequencyPenalty: 0.3, logprobs: 2 };
    const row = (i: number) => Float32Array.from({ length: 500 }, (_, id) => 6 * uniform(BigInt(i), id));
    const pick = (i: number) =>
      pickToken(row(i), request(options, { tokens: Int32Array.of(i, 3, 3, i), promptLength: 1 }), uniform(1n, i));
    const alone = Array.from({ length: 20 }, (_, i) => pick(i));
    for (let i = 19; i >= 0; i--) expect(pick(i)).toEqual(alone[i]);
  });
});

describe("log-probabilities", () => {
  test("are those of a distribution: at most 0, together at most 1, and 1 when all are told", () => {
    const property = fc.property(manyLogits, fc.nat(20), (values, logprobs) => {
      const { id, logprob, top } = pickToken(Float32Array.from(values), request({ ...plain, logprobs }), 0.5);
      expect(top).toHaveLength(Math.min(logprobs, values.length));
      for (const { logprob } of top!) expect(logprob).toBeLessThanOrEqual(0);
      const sum = top!.reduce((all, { logprob }) => all + Math.exp(logprob), 0);
      expect(sum).toBeLessThanOrEqual(1 + 1e-12);
      if (logprobs >= values.length) expect(sum).toBeCloseTo(1, 12);
      const listed = top!.find((entry) => entry.id === id);
      if (listed) expect(listed.logprob).toBe(logprob);
    });
    fc.assert(property, { numRuns: 200 });
  });

  test("are the model's, before constraint, bans, bias, penalties and temperature", () => {
    const rest = { tokens: Int32Array.of(0, 1, 1), promptLength: 1, constraint: only(1, 2), banned: [2] };
    const ruled = {
      temperature: 0.2,
      topK: 2,
      topP: 0.5,
      minP: 0.5,
      repetitionPenalty: 3,
      logitBias: new Map([[1, 7]]),
    };
    const logits = [4, 1, 2, 0.5];
    const bare = pickToken(Float32Array.from(logits), request({ ...greedy, logprobs: 4 }), 0);
    const { id, logprob, top } = pickToken(Float32Array.from(logits), request({ ...ruled, logprobs: 4 }, rest), 0);
    expect(id).toBe(1);
    expect(top).toEqual(bare.top);
    expect(logprob).toBe(top!.find((entry) => entry.id === 1)!.logprob);
  });

  test("list the lower id first of equals, and no token that is impossible", () => {
    const logits = Float32Array.of(1, -Infinity, 2, 1, 2);
    const { top } = pickToken(logits, request({ ...greedy, logprobs: 20 }), 0);
    expect(top!.map(({ id }) => id)).toEqual([2, 4, 0, 3]);
  });

  test("are absent unless they are asked for", () => {
    expect(pickToken(Float32Array.of(1, 2), request(greedy), 0)).toEqual({ id: 1 });
    expect(pickToken(Float32Array.of(1, 2), request({ ...greedy, logprobs: 0 }), 0)).toEqual({
      id: 1,
      logprob: expect.closeTo(-Math.log(1 + Math.exp(-1)), 12) as number,
      top: [],
    });
  });

  test("refuse logits that are not numbers", () => {
    for (const bad of [
      [1, Number.NaN],
      [Number.NaN, 1],
      [-Infinity, -Infinity],
      [Infinity, 1],
      [Number.NaN, Number.NaN],
    ]) {
      for (const logprobs of [undefined, 0, 2]) {
        const options = logprobs === undefined ? greedy : { ...greedy, logprobs };
        expect(() => pickToken(Float32Array.from(bad), request(options), 0)).toThrow(LogitsError);
      }
    }
  });

  test("refuse them where a constraint excludes the broken ones, too", () => {
    for (const broken of [Number.NaN, Infinity]) {
      const asked = request({ ...greedy, logprobs: 0 }, { constraint: only(1) });
      expect(() => pickToken(Float32Array.of(broken, 1), asked, 0)).toThrow(LogitsError);
    }
  });
});
