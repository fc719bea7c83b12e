import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gather, joinRows, lossOf } from "../../server/onnx/row-runs.ts";

const always = () => true;

describe("rows that are computed together", () => {
  test.each([
    ["side by side", [2, 3, 4], always, [{ first: 2, count: 3 }]],
    ["with a gap that is bridged", [0, 3], always, [{ first: 0, count: 4 }]],
    ["with a gap that is too long", [0, 4], always, [single(0), single(4)]],
    ["with a full row between them", [0, 2], (row: number) => row !== 1, [single(0), single(2)]],
    ["that are none", [], always, []],
  ])("%s", (_, wanted, canIdle, runs) => {
    expect(joinRows(wanted, canIdle, 2)).toEqual(runs);
  });

  test("are all of those that are wanted, each once, in runs that do not overlap", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(15), { maxLength: 12 }), fc.nat(4), fc.nat(15), (rows, most, full) => {
        const wanted = rows.sort((a, b) => a - b);
        const runs = joinRows(wanted, (row) => row !== full, most);
        const taken = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        expect(new Set(taken).size).toBe(taken.length);
        expect(wanted.every((row) => taken.includes(row))).toBe(true);
        const idle = taken.filter((row) => !wanted.includes(row));
        expect(idle).not.toContain(full);
        expect(lossOf(runs, wanted.length) === 0).toBe(wanted.length === 0 || (runs.length === 1 && idle.length === 0));
      }),
    );
  });

  test("lie side by side after they changed places, with the least to copy", () => {
    const rows = fc.array(fc.record({ length: fc.nat(100), wanted: fc.boolean() }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(rows, (states) => {
        const lengths = states.map(({ length }) => length);
        const wanted = states.flatMap((state, row) => (state.wanted ? [row] : []));
        const { pairs, positions } = gather(lengths, wanted);
        const order = lengths.map((_, row) => row);
        for (const [a, b] of pairs) [order[a], order[b]] = [order[b]!, order[a]!];
        const places = wanted.map((row) => order.indexOf(row)).sort((a, b) => a - b);
        expect(places.every((place, i) => i === 0 || place === places[i - 1]! + 1)).toBe(true);
        expect(pairs.flat().reduce((sum, row) => sum + lengths[row]!, 0)).toBe(positions);
        const windows = lengths.map((_, first) => first).filter((first) => first + wanted.length <= lengths.length);
        const costs = windows.map((first) => {
          const inside = (row: number) => row >= first && row < first + wanted.length;
          return lengths.reduce((sum, length, row) => sum + (inside(row) !== wanted.includes(row) ? length : 0), 0);
        });
        expect(positions).toBe(Math.min(...costs));
      }),
    );
  });
});

function single(first: number) {
  return { first, count: 1 };
}
