import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogitsError } from "../../server/decoder/errors.ts";
import { answerSeed, uniform } from "../../server/decoder/random.ts";
import { argmax, type SamplingOptions, sample } from "../../server/decoder/sampler.ts";

const options = (partial: Partial<SamplingOptions>): SamplingOptions => ({
  temperature: 1,
  topK: 0,
  topP: 1,
  ...partial,
});

/** What may be drawn, by sorting everything: temperature, then top k, then top p. */
function allowed(logits: readonly number[], { temperature, topK, topP }: SamplingOptions): Map<number, number> {
  const ids = logits.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const kept = topK > 0 ? ids.slice(0, topK) : ids;
  const weights = kept.map((id) => Math.exp((logits[id]! - logits[kept[0]!]!) / temperature));
  const all = weights.reduce((a, b) => a + b, 0);
  let mass = 0;
  let count = 0;
  while (count < kept.length && (count === 0 || (mass < topP * all && topP < 1) || topP === 1))
    mass += weights[count++]!;
  return new Map(kept.slice(0, count).map((id, rank) => [id, weights[rank]! / mass]));
}

describe("the sampler", () => {
  test("takes the largest logit at temperature 0, top k 1 or top p 0, the first of equals", () => {
    const logits = Float32Array.of(1, 3, -2, 3, 0);
    for (const greedy of [{ temperature: 0 }, { topK: 1 }, { topP: 0 }]) {
      expect(sample(logits, options(greedy), 0.99)).toBe(1);
    }
  });

  test("draws exactly from what temperature, top k and top p leave, and everything in it", () => {
    // Few distinct values make ties; probabilities near the limit of top p are left to the other tests.
    const logit = fc.integer({ min: -12, max: 12 }).map((n) => n / 3);
    const property = fc.property(
      fc.array(logit, { minLength: 2, maxLength: 40 }),
      fc.constantFrom(0.3, 0.7, 1, 1.7, 30),
      fc.integer({ min: 0, max: 45 }),
      fc.constantFrom(0.05, 0.31, 0.5, 0.77, 0.93, 1),
      (values, temperature, topK, topP) => {
        const chosen = options({ temperature, topK, topP });
        const logits = Float32Array.from(values);
        const exact = [...logits];
        const expected = allowed(exact, chosen);
        const drawn = new Set<number>();
        for (let i = 0; i < 400; i++) drawn.add(sample(logits, chosen, i / 400));
        for (const id of drawn) expect(expected.has(id)).toBe(true);
        // Whatever is likelier than a step of the draws must have come up.
        if (topK !== 1)
          for (const [id, probability] of expected) if (probability > 0.01) expect(drawn.has(id)).toBe(true);
        expect([...logits]).toEqual(exact);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test("keeps exactly the nucleus that a sort keeps, on vocabularies of real size", () => {
    for (const [seed, spread] of [
      [1n, 2],
      [2n, 6],
      [3n, 0.01],
    ] as const) {
      const logits = Float32Array.from({ length: 32064 }, (_, i) => spread * gauss(seed, i));
      for (const topP of [0.1, 0.5, 0.9, 0.99]) {
        const expected = allowed([...logits], options({ topP }));
        const ids = [...expected.keys()];
        const drawn = new Set(Array.from({ length: 50 }, (_, i) => sample(logits, options({ topP }), i / 50)));
        for (const id of drawn) expect(expected.has(id)).toBe(true);
        // The last draw falls on the largest id kept, the first on the smallest: the draw goes by id.
        expect(sample(logits, options({ topP }), 0)).toBe(Math.min(...ids));
        expect(sample(logits, options({ topP }), 1 - 2 ** -53)).toBe(Math.max(...ids));
      }
    }
  });

  test("draws each token as often as its probability says", () => {
    const logits = Float32Array.from([0, 1, 2, 3].map((n) => Math.log(n + 1)));
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[sample(logits, options({}), uniform(42n, i))]!++;
    counts.forEach((count, id) => {
      expect(Math.abs(count / 20_000 - (id + 1) / 10)).toBeLessThan(0.015);
    });
  });

  test("never draws what is masked with minus infinity", () => {
    const logits = Float32Array.of(-Infinity, 0, -Infinity, 0);
    for (let i = 0; i < 50; i++) {
      for (const chosen of [
        options({}),
        options({ topP: 0.9 }),
        options({ topK: 3 }),
        options({ topK: 3, topP: 0.9 }),
      ]) {
        expect([1, 3]).toContain(sample(logits, chosen, i / 50));
      }
    }
  });

  test("refuses logits that are not numbers", () => {
    expect(() => argmax(Float32Array.of(1, Number.NaN))).toThrow(LogitsError);
    expect(() => argmax(Float32Array.of(-Infinity, -Infinity))).toThrow(LogitsError);
    expect(() => argmax(Float32Array.of(1, Infinity))).toThrow(LogitsError);
  });
});

describe("randomness", () => {
  test("is a function of seed and position alone", () => {
    expect([0, 1, 2].map((position) => uniform(7n, position))).toEqual(
      [0, 1, 2].map((position) => uniform(7n, position)),
    );
    expect(uniform(7n, 0)).not.toBe(uniform(8n, 0));
    expect(uniform(2n ** 64n - 1n, 5)).not.toBe(uniform(0n, 5));
  });

  test("is spread evenly over [0, 1), along positions and along seeds", () => {
    for (const draw of [(i: number) => uniform(3n, i), (i: number) => uniform(BigInt(i), 3)]) {
      const bins = new Array<number>(20).fill(0);
      for (let i = 0; i < 20_000; i++) bins[Math.floor(draw(i) * 20)]!++;
      for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(150);
    }
  });

  test("does not give one seed the stream of another, moved along", () => {
    for (const step of [1n, 0x9e3779b97f4a7c15n]) {
      for (let position = 1; position < 50; position++) {
        expect(uniform(7n + step, position - 1)).not.toBe(uniform(7n, position));
      }
    }
  });

  test("gives every answer of a request its own seed, and the first the request's", () => {
    const seeds = Array.from({ length: 16 }, (_, index) => answerSeed(9n, index));
    expect(seeds[0]).toBe(9n);
    expect(new Set(seeds).size).toBe(16);
  });
});

function gauss(seed: bigint, position: number): number {
  const [a, b] = [uniform(seed, 2 * position), uniform(seed, 2 * position + 1)];
  return Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b);
}
