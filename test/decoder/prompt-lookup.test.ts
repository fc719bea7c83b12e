import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PromptLookup } from "../../server/decoder/prompt-lookup.ts";
import { uniform } from "../../server/decoder/random.ts";

/** Guesses cost next to nothing: whenever there is a place to copy from, something is guessed. */
const free = [1, 1e-3, 1.1e-3];

/** The place behind the longest earlier match of the end of `tokens`, of 2 to 16 tokens, the latest of equals, by trying every one. */
function placeOf(tokens: Int32Array): number {
  let [best, longest] = [0, 1];
  for (let place = tokens.length - 1; place >= 2; place--) {
    let match = 0;
    while (match < 16 && match < place && tokens[place - 1 - match] === tokens[tokens.length - 1 - match]) match++;
    if (match > longest) [best, longest] = [place, match];
  }
  return best;
}

/** A text and how much of it each call sees more. Few different tokens, and whole passages again. */
const growing = fc
  .array(
    fc.oneof(
      fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 12 }),
      fc.constantFrom([7, 8, 9, 7, 8, 10, 11, 12], [1, 1, 1, 1, 1], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]),
    ),
    { minLength: 1, maxLength: 25 },
  )
  .chain((parts) =>
    fc.tuple(
      fc.constant(Int32Array.from(parts.flat())),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
    ),
  );

function* prefixes(text: Int32Array, strides: readonly number[]): Generator<Int32Array> {
  let length = 0;
  for (let i = 0; length < text.length; i++) {
    length = Math.min(text.length, length + strides[i % strides.length]!);
    yield text.subarray(0, length);
  }
}

/** Steps per token, and what they take per token, when `answer` is what the model says to `prompt`. */
function play(prompt: readonly number[], answer: readonly number[], most = 7, costs?: readonly number[]) {
  const text = Int32Array.of(...prompt, ...answer);
  const lookup = new PromptLookup(costs && { costs });
  const paid = costs ?? [1, 1.1, 1.2, 1.3, 1.41, 1.52, 1.63, 1.75];
  let [steps, cost] = [0, 0];
  for (let at = prompt.length; at < text.length; ) {
    const guesses = lookup.draft(text.subarray(0, at), Math.min(most, text.length - at - 1));
    let right = 0;
    while (right < guesses.length && guesses[right] === text[at + right]) right++;
    steps++;
    cost += paid[guesses.length]!;
    at += right + 1;
  }
  return { steps: steps / answer.length, cost: cost / answer.length };
}

const random = (seed: bigint, length: number, vocabulary: number) =>
  Array.from({ length }, (_, i) => Math.floor(uniform(seed, i) * vocabulary));

describe("prompt lookup", () => {
  test("guesses what followed the longest earlier match, the latest of equals, as a search of everything finds it", () => {
    const property = fc.property(growing, ([text, strides]) => {
      const lookup = new PromptLookup({ costs: free });
      for (const tokens of prefixes(text, strides)) {
        const guesses = lookup.draft(tokens, 5);
        const place = placeOf(tokens);
        expect(guesses.length > 0).toBe(place > 0);
        guesses.forEach((guess, i) => {
          // Behind the end of the text it goes on with itself.
          const from = place + i;
          expect(guess).toBe(from < tokens.length ? tokens[from] : guesses[from - tokens.length]);
        });
      }
    });
    fc.assert(property, { numRuns: 500 });
  });

  test("never guesses more than is asked for, nor a token that has not come up", () => {
    const property = fc.property(growing, fc.nat(9), fc.nat(3), ([text, strides], most, beside) => {
      const lookup = new PromptLookup({ costs: free });
      for (const tokens of prefixes(text, strides)) {
        const guesses = lookup.draft(tokens, most, beside);
        expect(guesses.length).toBeLessThanOrEqual(most);
        for (const guess of guesses) expect(tokens.includes(guess)).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("guesses the same of the same text, and leaves the text as it is", () => {
    const property = fc.property(growing, ([text, strides]) => {
      const before = [...text];
      const [a, b] = [new PromptLookup(), new PromptLookup()];
      for (const tokens of prefixes(text, strides)) expect(a.draft(tokens, 7)).toEqual(b.draft(tokens.slice(), 7));
      expect([...text]).toEqual(before);
    });
    fc.assert(property, { numRuns: 100 });
  });

  test("takes less than half of the steps for an answer that repeats its prompt, changed in places", () => {
    const prompt = random(1n, 1500, 30_000);
    // One token in twenty is another one, and one in fifty is left out.
    const answer = prompt
      .filter((_, i) => uniform(2n, i) > 0.02)
      .map((token, i) => (uniform(3n, i) < 0.05 ? 40_000 + i : token));
    expect(play(prompt, answer).steps).toBeLessThan(0.35);
    expect(play(prompt, answer).cost).toBeLessThan(0.5);
  });

  test("runs with a text that goes in circles", () => {
    expect(
      play(
        [],
        Array.from({ length: 400 }, (_, i) => i % 3),
      ).steps,
    ).toBeLessThan(0.2);
  });

  test("loses at most three in a hundred on answers that only seem to repeat something", () => {
    // With few different tokens the last two have nearly always stood somewhere, and what followed says nothing.
    for (const vocabulary of [12, 25, 60, 200, 30_000]) {
      expect(play(random(4n, 800, vocabulary), random(5n, 800, vocabulary)).cost, `${vocabulary}`).toBeLessThan(1.03);
    }
  });

  test("stops guessing where what matched goes on in another way each time, and starts again where it does not", () => {
    const passage = [1, 2, 3];
    const misleading = Array.from({ length: 200 }, (_, i) => [...passage, 1000 + i]).flat();
    expect(play(passage, misleading).cost).toBeLessThan(1);
    const copied = random(6n, 300, 30_000);
    const [alone, after] = [play(copied, copied), play([...copied, ...passage], [...misleading, ...copied])];
    expect(after.steps * (misleading.length + 300)).toBeLessThan(misleading.length + alone.steps * 300 + 40);
  });

  test("guesses less where guesses are dear, and not at all where they cost as much as a step", () => {
    const text = random(7n, 300, 30_000);
    const dear = Array.from({ length: 8 }, (_, k) => 1 + k);
    expect(play(text, text, 7, dear).steps).toBe(1);
    const tokens = Int32Array.of(...text, ...text.slice(0, 40));
    const lengths = [0, 4, 12].map(
      (beside) => new PromptLookup({ costs: [1, 1.1, 1.25, 1.5, 1.9] }).draft(tokens, 7, beside).length,
    );
    expect(lengths[0]).toBeGreaterThan(lengths[1]!);
    expect(lengths[2]).toBe(0);
  });
});
