import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pacer, type PacerOptions } from "../../server/decoder/pacer.ts";

/** A machine on which a step costs so much, and each of its tokens so much more; now and then it is busy with something else. */
interface Machine {
  readonly baseMs: number;
  readonly tokenMs: number;
}
const ms = ({ baseMs, tokenMs }: Machine, tokens: number) => baseMs + tokenMs * tokens;

/** Paces a long prompt beside `rows` answers; every `disturbed`-th step takes five times as long. @returns the chunks */
function prefill(pacer: Pacer, machine: Machine, rows: number, steps: number, disturbed = Infinity): number[] {
  return Array.from({ length: steps }, (_, i) => {
    const promptTokens = pacer.budget(rows);
    const took = ms(machine, rows + promptTokens) * (i % disturbed === disturbed - 1 ? 5 : 1);
    pacer.learn({ tokens: rows, promptTokens }, took);
    return promptTokens;
  });
}

const reference: PacerOptions = { costs: { stepMs: 90, promptTokenMs: 9.5 } };

describe("a pacer", () => {
  test("starts from what was measured before: a few tokens beside answers, about a second's worth alone", () => {
    const pacer = new Pacer(reference);
    expect([1, 4, 8].map((rows) => pacer.budget(rows))).toEqual([11, 14, 19]);
    expect(pacer.budget(0)).toBe(96);
  });

  test("starts without costs as well, and learns them", () => {
    const pacer = new Pacer();
    expect([pacer.budget(1), pacer.budget(0)]).toEqual([32, 128]);
    for (let i = 0; i < 9; i++) pacer.learn({ tokens: 4, promptTokens: 0 }, 118);
    expect(prefill(pacer, { baseMs: 80, tokenMs: 9.5 }, 4, 20).at(-1)).toBe(14);
    for (let i = 0; i < 9; i++) pacer.learn({ tokens: 0, promptTokens: pacer.budget(0) }, 80 + 2 * pacer.budget(0));
    expect(pacer.budget(0)).toBe(456);
  });

  test("keeps steps beside answers within the factor, whatever the machine and however wrong the first costs were", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 5, max: 500, noNaN: true }),
        fc.double({ min: 8, max: 100, noNaN: true }),
        fc.double({ min: 0.3, max: 3, noNaN: true }),
        fc.integer({ min: 1, max: 8 }),
        (baseMs, tokensOfBase, wrong, rows) => {
          const machine = { baseMs, tokenMs: baseMs / tokensOfBase };
          const costs = { stepMs: ms(machine, 1) * wrong, promptTokenMs: machine.tokenMs / wrong };
          const pacer = new Pacer({ costs });
          for (let i = 0; i < 9; i++) pacer.learn({ tokens: rows, promptTokens: 0 }, ms(machine, rows));
          prefill(pacer, machine, rows, 20);
          const taken = ms(machine, rows + pacer.budget(rows)) / ms(machine, rows);
          expect(taken).toBeLessThanOrEqual(2.2 + 1e-9);
          // and makes use of it, as far as many come in eights
          const more = pacer.budget(rows) >= 64 ? 9 : 2;
          expect(ms(machine, rows + pacer.budget(rows) + more) / ms(machine, rows)).toBeGreaterThan(2.2);
        },
      ),
    );
  });

  test("follows costs that grow with the context", () => {
    const pacer = new Pacer(reference);
    for (let i = 0; i < 9; i++) pacer.learn({ tokens: 8, promptTokens: 0 }, 158);
    expect(prefill(pacer, { baseMs: 82, tokenMs: 9.5 }, 8, 20).at(-1)).toBe(19);
    expect(prefill(pacer, { baseMs: 82, tokenMs: 13 }, 8, 20).at(-1)).toBe(12);
  });

  test("is not led astray by steps in which the machine was disturbed", () => {
    const machine = { baseMs: 82, tokenMs: 9.5 };
    const pacer = new Pacer(reference);
    for (let i = 0; i < 18; i++) pacer.learn({ tokens: 8, promptTokens: 0 }, ms(machine, 8) * (i % 3 === 2 ? 5 : 1));
    expect(new Set(prefill(pacer, machine, 8, 60, 3).slice(9))).toEqual(new Set([19]));
  });

  test("is not led astray when its first measurement was, nor by rests of prompts", () => {
    const pacer = new Pacer({ costs: { stepMs: 490, promptTokenMs: 9 } });
    for (let i = 0; i < 20; i++) {
      const promptTokens = i % 2 === 0 ? pacer.budget(0) : 5;
      pacer.learn({ tokens: 0, promptTokens }, 82 + 9.5 * promptTokens);
      expect(pacer.budget(0)).toBeLessThanOrEqual(96);
    }
    expect(pacer.budget(0)).toBeGreaterThanOrEqual(88);
  });

  test("gives at least eight tokens where a prompt is a run of its own and a few would cost as much", () => {
    const pacer = new Pacer(reference);
    for (let i = 0; i < 20; i++) pacer.learn({ tokens: 1, promptTokens: pacer.budget(1) }, 90 + 90 + 8 * 9.5);
    expect(pacer.budget(1)).toBe(8);
  });

  test("keeps within what it is told", () => {
    const pacer = new Pacer({ ...reference, mostBeside: 3, mostAlone: 5 });
    expect([pacer.budget(1), pacer.budget(0)]).toEqual([3, 5]);
    expect(new Pacer({ ...reference, aloneStepMs: 300 }).budget(0)).toBe(23);
  });

  test("foretells a prompt's time from the steps that it takes", () => {
    const pacer = new Pacer(reference);
    expect(pacer.prefillMs(96, 0)).toBeCloseTo(80.5 + 96 * 9.5);
    expect(pacer.prefillMs(110, 1)).toBeCloseTo(10 * 90 + 110 * 9.5);
    expect(new Pacer().prefillMs(10, 0)).toBeUndefined();
  });
});
