import { expect, test } from "vitest";
import { tokenTrie } from "../../server/grammar/token-trie.ts";

const trieOf = (...texts: string[]) =>
  tokenTrie(texts.map((text, id) => ({ id, bytes: new TextEncoder().encode(text) })));

test("a character that is not whole counts as one that is to come", () => {
  expect([...trieOf("é").rests]).toEqual([1, 0]);
  expect([...trieOf("a你b", "a").rests]).toEqual([2, 2, 2, 1, 0]);
});

test("the tokens below a node stand side by side", () => {
  const { bytes, ends, idsFrom, ids } = trieOf("ab", "a", "abc", "b", "ab");
  expect(String.fromCharCode(...bytes)).toBe("abcb");
  expect([...ends]).toEqual([3, 3, 3, 4]);
  expect([...ids.slice(idsFrom[1], idsFrom[ends[1]!])].sort()).toEqual([0, 2, 4]);
});
