import { describe, expect, test } from "vitest";
import { type Bar, barsTable, exitCode, type Figure, figuresTable, judge, summary } from "../../bench/table.mjs";

const at = (median: number) => ({ median, low: median, high: median });
const figure = (sides: Figure["sides"]): Figure => ({ id: "f", title: "a figure", unit: "ms", sides });
const bar: Bar = { figure: "f", ours: "native", against: ["peer auto", "peer q8"], atLeast: 2 };
const most: Bar = { figure: "f", ours: "native", atMost: 500 };

describe("a bar over a peer", () => {
  test("holds at exactly its ratio and not below", () => {
    expect(judge([bar], [figure({ native: at(100), "peer auto": at(200) })])).toMatchObject([
      { ratio: 2, holds: true },
    ]);
    const rows = judge([bar], [figure({ native: at(100), "peer auto": at(199) })]);
    expect(rows).toMatchObject([{ ratio: 1.99, holds: false }]);
    expect(exitCode(rows)).toBe(1);
  });

  test("is over the peer's best variant", () => {
    const [row] = judge([bar], [figure({ native: at(100), "peer auto": at(300), "peer q8": at(150) })]);
    expect(row).toMatchObject({ peer: { side: "peer q8" }, ratio: 1.5, holds: false });
  });

  test("does not hold where a side or the figure is missing", () => {
    for (const figures of [
      [],
      [figure({ "peer auto": at(200) })],
      [figure({ native: at(100) })],
      [figure({ native: at(Number.NaN), "peer auto": at(200) })],
      [figure({ native: at(100), "peer auto": { absent: "does not fit" } })],
    ]) {
      const rows = judge([bar], figures);
      expect(rows).toMatchObject([{ holds: false, ratio: null }]);
      expect(exitCode(rows)).toBe(1);
    }
  });

  test("says why a side has no figure", () => {
    const rows = judge([bar], [figure({ native: at(100), "peer auto": { absent: "does not fit" } })]);
    expect(rows).toMatchObject([{ note: "does not fit" }]);
    expect(barsTable(rows)).toContain("**does not hold**: does not fit");
  });
});

describe("of a figure where more is better", () => {
  const rates = (sides: Figure["sides"]): Figure => ({ id: "f", title: "a figure", unit: "tok/s", more: true, sides });

  test("a bar holds at exactly its ratio and not below", () => {
    expect(judge([bar], [rates({ native: at(20), "peer auto": at(10) })])).toMatchObject([{ ratio: 2, holds: true }]);
    expect(judge([bar], [rates({ native: at(19), "peer auto": at(10) })])).toMatchObject([
      { ratio: 1.9, holds: false },
    ]);
  });

  test("a bar is over the peer's best variant", () => {
    const [row] = judge([bar], [rates({ native: at(20), "peer auto": at(5), "peer q8": at(11) })]);
    expect(row).toMatchObject({ peer: { side: "peer q8" }, holds: false });
  });

  test("the table says tokens per second", () => {
    expect(figuresTable([rates({ a: at(48.123) })], ["a"])).toContain("| a figure | 48.1 tok/s |");
  });
});

describe("a bar on ours alone", () => {
  test("holds up to its limit", () => {
    expect(judge([most], [figure({ native: at(500) })])).toMatchObject([{ holds: true }]);
    expect(judge([most], [figure({ native: at(500.1) })])).toMatchObject([{ holds: false }]);
    expect(judge([most], [figure({ peer: at(1) })])).toMatchObject([{ holds: false, note: "not measured" }]);
  });
});

test("the table of bars says which side of ours it is where there are several", () => {
  const figures = [figure({ native: at(100), other: at(90), "peer auto": at(300) })];
  expect(barsTable(judge([bar, most], figures))).not.toContain("(native)");
  expect(
    barsTable(judge([bar, { ...most, ours: "other" }], figures))
      .split("\n")
      .slice(2),
  ).toEqual([
    "| a figure | 100 ms (native) | 300 ms (peer auto) | 3.00 × | 2 × | holds |",
    "| a figure | 90.0 ms (other) |  |  | at most 500 ms | holds |",
  ]);
});

describe("the exit code", () => {
  test("is 0 only when every bar holds, and 1 when there is none", () => {
    const figures = [figure({ native: at(100), "peer auto": at(300) })];
    expect(exitCode(judge([bar, most], figures))).toBe(0);
    expect(exitCode(judge([bar, most, { ...bar, figure: "other" }], figures))).toBe(1);
    expect(exitCode([])).toBe(1);
  });
});

test("a summary is the median and the quartiles of the samples in any order", () => {
  expect(summary([5, 1, 4, 2, 3])).toEqual({ median: 3, low: 2, high: 4, samples: 5 });
  expect(summary([2, 1])).toEqual({ median: 1.5, low: 1.25, high: 1.75, samples: 2 });
});

test("the table of figures shows every side, and why one is absent", () => {
  const table = figuresTable(
    [figure({ a: { median: 74.123, low: 70, high: 80 }, b: { absent: "does not fit" } })],
    ["a", "b"],
  );
  expect(table.split("\n")).toEqual([
    "| figure | a | b |",
    "| --- | --- | --- |",
    "| a figure | 74.1 ms [70.0 ms – 80.0 ms] | does not fit |",
  ]);
});
