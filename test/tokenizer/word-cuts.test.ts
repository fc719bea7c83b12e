import fc from "fast-check";
import { expect, test } from "vitest";
import { WordCuts } from "../../server/tokenizer/word-cuts.ts";

test("words are cut where no token joins two neighbours, and nowhere else", () => {
  const cuts = new WordCuts(["ab", "b▁c", "👍a", "dd"]);
  expect(cuts.split("ab▁cab")).toEqual(["ab▁c", "ab"]);
  expect(cuts.split("ddd▁▁👍a👍")).toEqual(["ddd", "▁", "▁", "👍a", "👍"]);
  expect(cuts.split("")).toEqual([]);
});

test("the parts of a text are the text", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "grapheme", maxLength: 4 })),
      fc.string({ unit: "grapheme" }),
      (tokens, text) => {
        expect(new WordCuts(tokens).split(text).join("")).toBe(text);
      },
    ),
  );
});
