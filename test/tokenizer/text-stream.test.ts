import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopStrings } from "../../server/tokenizer/stop-strings.ts";
import { TextStream } from "../../server/tokenizer/text-stream.ts";
import { type Subject, subjects } from "./fixtures.ts";

/** Ids to pieces, up to a stop. */
function streamed(
  { ours }: Subject,
  ids: readonly number[],
  stops: readonly string[] = [],
  before: readonly number[] = [],
) {
  const stream = new TextStream(ours, stops, before);
  const pieces: string[] = [];
  for (const id of ids) {
    const { text, stop } = stream.push(id);
    pieces.push(text);
    if (stop !== undefined) return { pieces, stop };
  }
  const { text, stop } = stream.flush();
  return { pieces: [...pieces, text], stop };
}

/** The whole text cut before the stop string that is complete first. */
function cut(text: string, stops: readonly string[]): { text: string; stop?: string } {
  for (let end = 1; end <= text.length; end++) {
    const hit = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (hit !== undefined) return { text: text.slice(0, end - hit.length), stop: hit };
  }
  return { text };
}

describe.each(subjects.map((subject) => [subject.name, subject] as const))("a text stream over %s", (_, subject) => {
  const { ours, vocabulary } = subject;
  const ids = fc.array(fc.integer({ min: 0, max: vocabulary - 1 }), { maxLength: 60 });
  const visible = (list: readonly number[]) => list.filter((id) => !ours.isHidden(id));

  test("gives the whole text in pieces, whatever the ids", () => {
    fc.assert(
      fc.property(ids, (list) => {
        expect(streamed(subject, list).pieces.join("")).toBe(ours.decode(visible(list)));
      }),
      { numRuns: 1500 },
    );
  });

  test("never gives part of a character", () => {
    for (const text of ["👩‍👩‍👧‍👦 und 🇩🇪", "日本語", "ÄÖÜß"]) {
      const { pieces } = streamed(subject, ours.encode(text));
      expect(pieces.join("")).toBe(text);
      for (const piece of pieces) expect(encodeURIComponent(piece)).not.toContain("%EF%BF%BD");
      expect(pieces.join("").includes("\uFFFD")).toBe(false);
    }
  });

  test("goes on with a text so that both together are the text of all ids", () => {
    fc.assert(
      fc.property(ids, ids, (before, after) => {
        const [first, second] = [visible(before), visible(after)];
        const text = ours.decode(first);
        fc.pre(!text.endsWith("\uFFFD"));
        expect(text + streamed(subject, second, [], first).pieces.join("")).toBe(ours.decode([...first, ...second]));
      }),
      { numRuns: 500 },
    );
  });

  test("cuts at stop strings as the whole text would be cut", () => {
    const words = ["the ", "stop", "st", "op", "\n\n", "a", "👍", "é", "top", " "];
    const text = fc.array(fc.constantFrom(...words), { maxLength: 14 }).map((parts) => parts.join(""));
    const stops = fc.array(fc.constantFrom("stop", "top the", "\n\n", "👍a", "aa", "é", "st op", "oops", "t"), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(text, stops, (whole, chosen) => {
        const { pieces, stop } = streamed(subject, ours.encode(whole), chosen);
        expect({ text: pieces.join(""), stop }).toEqual({ stop: undefined, ...cut(whole, chosen) });
      }),
      { numRuns: 500 },
    );
  });

  test("stays quick when bytes never become characters", () => {
    const lonely = visible(Array.from({ length: vocabulary }, (_, id) => id)).find(
      (id) => ours.decode([id, id]) === "\uFFFD\uFFFD",
    )!;
    const list = new Array<number>(4000).fill(lonely);
    const started = performance.now();
    expect(streamed(subject, list).pieces.join("")).toBe(ours.decode(list));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("stop strings", () => {
  const all = (stops: string[], ...pieces: string[]) => {
    const finder = new StopStrings(stops);
    return pieces.map((piece) => finder.push(piece).text);
  };

  test("hold back the longest possible beginning and nothing more", () => {
    expect(all(["END"], "abE", "N", "x", "E", "EN")).toEqual(["ab", "", "ENx", "", "E"]);
    expect(all(["aab"], "a", "a", "a", "c")).toEqual(["", "", "a", "aac"]);
  });

  test("are found over piece borders and not given out", () => {
    const finder = new StopStrings(["</s>", "STOP"]);
    expect(finder.push("hi <")).toEqual({ text: "hi " });
    expect(finder.push("/s>more")).toEqual({ text: "<".slice(1), stop: "</s>" });
  });

  test("end the text with the one that is complete first", () => {
    expect(new StopStrings(["ablong", "b"]).push("xablong")).toEqual({ text: "xa", stop: "b" });
    expect(new StopStrings(["c", "abc"]).push("xabc")).toEqual({ text: "x", stop: "abc" });
  });

  test("give out what was held back at the end", () => {
    const finder = new StopStrings(["END"]);
    finder.push("abEN");
    expect(finder.flush()).toBe("EN");
    expect(finder.flush()).toBe("");
  });
});
