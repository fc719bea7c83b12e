// How numbers, progress and mistyped words are put.
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { nearest } from "../../server/cli/flags.ts";
import { ProgressBar } from "../../server/cli/progress-bar.ts";
import { duration, printable, size, statsLine, table } from "../../server/cli/words.ts";

test("sizes and durations are short", () => {
  expect([0, 1023, 1024, 7_234_567, 3n * 2n ** 40n].map(size)).toEqual([
    "0 bytes",
    "1023 bytes",
    "1.0 KiB",
    "6.9 MiB",
    "3.0 TiB",
  ]);
  expect([0.4, 85, 2_312].map(duration)).toEqual(["0 ms", "85 ms", "2.31 s"]);
});

test("usage and timing of an answer are one line, with what was saved", () => {
  const usage = { promptTokens: 10, completionTokens: 7, totalTokens: 17, cachedPromptTokens: 9 };
  const work = { steps: 3, draftedTokens: 6, acceptedTokens: 4 };
  const timings = { queueMs: 0, timeToFirstTokenMs: 12, totalMs: 99, tokensPerSecond: 163.54, ...work };
  expect(statsLine({ usage, timings, seed: 5n, finishReason: "length" })).toBe(
    "10 prompt tokens (9 cached), 7 completion tokens (4 guessed ahead), first token after 12 ms, 163.5 tokens/s, " +
      "seed 5, cut off at the token limit",
  );
});

test("printable text steers no terminal and keeps its lines", () => {
  expect(printable("a\u001b[31mb\u0007\u009b1m\tc\nd\r")).toBe("a[31mb1m\tc\nd");
  expect(
    table([
      ["A", "B"],
      ["long\ncell", "x"],
    ]),
  ).toBe("A          B\nlong cell  x\n");
});

test("a mistyped word finds the nearest, a different one finds none", () => {
  expect(nearest("adress", ["address", "name"])).toBe("address");
  expect(nearest("verbose", ["address", "name"])).toBeUndefined();
});

function bar(isTTY: boolean, columns = 70) {
  const out = Object.assign(new PassThrough({ encoding: "utf8" }), { isTTY, columns });
  let time = 0;
  const made = new ProgressBar(out, "up", { now: () => time });
  const at = (ms: number, done: number) => {
    time = ms;
    made.update(done, 1_000, "folder/with/a/long/name.bin");
    return out.read() ?? "";
  };
  return { at, made, out };
}

test("on a terminal the bar redraws one line that fits, at most ten times a second", () => {
  const { at, made, out } = bar(true);
  expect(at(50, 0)).toContain("0%");
  expect(at(100, 250)).toBe("");
  const line = at(200, 500);
  expect(line.startsWith("\r\u001b[2K")).toBe(true);
  expect(line).toMatch(/up █{12}░{12} 50% {2}500 bytes of 1000 bytes/);
  expect(line.replace("\r\u001b[2K", "").length).toBeLessThanOrEqual(70);
  expect(at(210, 1_000)).toContain("100%");
  made.clear();
  expect(out.read()).toBe("\r\u001b[2K");
});

test("on a narrow terminal the line is cut, and never wraps", () => {
  const line = bar(true, 30).at(200, 500);
  expect(line.replace("\r\u001b[2K", "").length).toBeLessThan(30);
});

test("elsewhere it is a line for each quarter", () => {
  const { at, made, out } = bar(false);
  expect([0, 100, 250, 260, 900, 1_000, 1_000].map((done) => at(0, done))).toEqual([
    "",
    "",
    "up 25% of 1000 bytes\n",
    "",
    "up 75% of 1000 bytes\n",
    "up 100% of 1000 bytes\n",
    "",
  ]);
  made.clear();
  expect(out.read()).toBeNull();
});
