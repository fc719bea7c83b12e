// What every ModelRunner must do, whatever computes behind it. Called once per runner and model.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { argmax } from "../../server/decoder/sampler.ts";
import { RunTerminatedError } from "../../server/onnx/errors.ts";
import type { BatchEntry, CacheHandle, ModelRunner } from "../../server/onnx/model-runner.ts";

export interface RunnerUnderTest {
  readonly name: string;
  /** A runner for batches of four that takes 128 tokens at a time, with room for one context, 900 tokens and less than four contexts. */
  open(): Promise<ModelRunner>;
  /** The runner gives a row the same bits alone, in any batch, and however its prompt was cut. */
  readonly sameBits?: boolean;
  /** A token whose embedding is not a number. */
  readonly brokenToken?: number;
  /** Frees what `open` needed besides the runner. */
  close?(): Promise<void>;
  /** Greedy continuations without the ending token, and where they are from. */
  readonly recorded: {
    readonly origin: string;
    readonly cases: readonly { prompt: readonly number[]; ids: readonly number[] }[];
  };
}

export function modelRunnerContract({ name, open, close, recorded, sameBits, brokenToken }: RunnerUnderTest): void {
  describe(`a model runner: ${name}`, () => {
    let runner: ModelRunner;
    const prompts = recorded.cases.map((entry) => entry.prompt);

    beforeAll(async () => {
      runner = await open();
    });
    afterAll(async () => {
      await runner.dispose();
      await close?.();
    });

    test(`continues greedily as recorded (${recorded.origin})`, async () => {
      for (const { prompt, ids } of recorded.cases) {
        expect(await alone(runner, prompt, ids.length)).toEqual(ids);
      }
    });

    test.each([1, 3, 7, 16])(
      "gives the same tokens whether a prompt comes at once or %i tokens at a time",
      async (chunk) => {
        for (const prompt of prompts.slice(-3)) {
          expect(await alone(runner, prompt, 12, chunk)).toEqual(await alone(runner, prompt, 12));
        }
      },
    );

    test("gives a sequence of a ragged batch the tokens it gets alone, while others are at their prompts", async () => {
      const wanted = prompts.slice(0, 6);
      const expected = [];
      for (const prompt of wanted) expected.push(await alone(runner, prompt, 15));
      expect(await together(runner, wanted, 15, 5)).toEqual(expected);
    });

    test("forgets what lies behind the position that an entry names", async () => {
      const [prompt, other] = [prompts.at(-1)!, prompts.at(-2)!];
      const sequence = runner.allocate()!;
      await feed(runner, sequence, other, 0);
      await feed(runner, sequence, prompt.slice(0, 5), 0);
      const logits = await feed(runner, sequence, prompt.slice(5), 5);
      expect(await go(runner, sequence, logits, prompt.length, 10)).toEqual(await alone(runner, prompt, 10));
    });

    test("keeps the caches of the others when a place is given back", async () => {
      const expected = [];
      for (const prompt of prompts.slice(0, 3)) expected.push(await alone(runner, prompt, 10));
      const sequences = prompts.slice(0, 3).map(() => runner.allocate()!);
      const logits: Float32Array[] = [];
      for (const [i, sequence] of sequences.entries())
        logits.push((await feed(runner, sequence, prompts[i]!, 0)).slice());
      runner.release(sequences[0]!);
      for (const i of [2, 1]) {
        expect(await go(runner, sequences[i]!, logits[i]!, prompts[i]!.length, 10)).toEqual(expected[i]);
      }
    });

    test("continues a copied prefix as the original", async () => {
      const prompt = prompts.at(-1)!;
      const [from, to] = [runner.allocate()!, runner.allocate()!];
      await feed(runner, from, prompt, 0);
      runner.copyPrefix(from, to, prompt.length - 2);
      runner.release(from);
      const logits = await feed(runner, to, prompt.slice(-2), prompt.length - 2);
      expect(await go(runner, to, logits, prompt.length, 10)).toEqual(await alone(runner, prompt, 10));
    });

    test("lets two sequences with the same beginning go on, each without seeing what the other writes", async () => {
      const [begin, one, other] = [cycle(prompts, 70, 0), cycle(prompts, 9, 3), cycle(prompts, 40, 11)];
      const [a, b, c] = [runner.allocate()!, runner.allocate()!, runner.allocate()!];
      await feed(runner, a, begin, 0);
      runner.copyPrefix(a, b, 66);
      runner.copyPrefix(b, c, 64);
      const ofA = (await feed(runner, a, one, 70)).slice();
      const ofB = (await feed(runner, b, other, 66)).slice();
      const ofC = (await feed(runner, c, one, 20)).slice(); // within what all three share
      expect(await go(runner, c, ofC, 29, 8)).toEqual(await alone(runner, [...begin.slice(0, 20), ...one], 8));
      expect(await go(runner, a, ofA, 79, 8)).toEqual(await alone(runner, [...begin, ...one], 8));
      expect(await go(runner, b, ofB, 106, 8)).toEqual(await alone(runner, [...begin.slice(0, 66), ...other], 8));
    });

    if (sameBits) {
      test("gives every row of a ragged batch of chunks and single tokens the bits it has alone", async () => {
        const texts = [5, 33, 64, 97].map((length, i) => cycle(prompts, length, 5 * i));
        const expected: Uint32Array[] = [];
        for (const text of texts) {
          const sequence = runner.allocate()!;
          expected.push(await bitsOf(runner, [{ sequence, tokens: text, position: 0 }]).then(([bits]) => bits!));
          runner.release(sequence);
        }
        for (const chunks of [[1], [97], [7, 1, 40, 16], [3, 32, 1, 31]]) {
          const sequences = texts.map((text) => ({ sequence: runner.allocate()!, text, position: 0 }));
          const found: Uint32Array[][] = texts.map(() => []);
          for (let step = 0; sequences.some(({ text, position }) => position < text.length); step++) {
            const batch = sequences.flatMap((state, i) => {
              const { sequence, text, position } = state;
              const tokens = text.slice(position, position + chunks[(step + i) % chunks.length]!);
              state.position += tokens.length;
              return tokens.length > 0 ? [{ i, sequence, tokens, position }] : [];
            });
            const bits = await bitsOf(runner, batch);
            for (const [at, { i }] of batch.entries()) found[i]!.push(bits[at]!);
          }
          for (const { sequence } of sequences) runner.release(sequence);
          for (const [i, parts] of found.entries())
            expect(differing(join(parts), expected[i]!), `text ${i}, chunks of ${chunks}`).toBe(0);
        }
      });
    }

    if (brokenToken !== undefined) {
      test("keeps what is not a number within the row that made it, now and when its place is used again", async () => {
        const expected = [];
        for (const prompt of prompts.slice(0, 3)) expected.push(await alone(runner, prompt, 6));
        const sequences = prompts.slice(0, 3).map(() => runner.allocate()!);
        const broken = runner.allocate()!;
        const entry = (sequence: CacheHandle, tokens: readonly number[]): BatchEntry => {
          return { sequence, tokens: Int32Array.from(tokens), position: 0, wantsLogits: "last" };
        };
        const batch = [entry(broken, [...prompts[0]!, brokenToken]), ...sequences.map((s, i) => entry(s, prompts[i]!))];
        const [logits, ...others] = (await runner.forward(batch)).map((row) => row!.slice());
        expect(logits!.some(Number.isNaN)).toBe(true);
        for (const [i, first] of others.entries())
          expect(await go(runner, sequences[i]!, first, prompts[i]!.length, 6)).toEqual(expected[i]);
        runner.release(broken);
        for (const [i, prompt] of prompts.slice(0, 3).entries())
          expect(await alone(runner, prompt, 6)).toEqual(expected[i]);
      });
    }

    test("ends a forward in flight on terminate, and takes the same batch again afterwards", async () => {
      const long = cycle(prompts, 100, 0);
      const sequences = Array.from({ length: runner.maxSequences }, () => runner.allocate()!);
      for (const sequence of sequences) await feed(runner, sequence, long, 0);
      const batch = sequences.map((sequence): BatchEntry => {
        return { sequence, tokens: Int32Array.from(long), position: long.length, wantsLogits: "last" };
      });
      const running = runner.forward(batch);
      runner.terminate();
      await expect(running).rejects.toBeInstanceOf(RunTerminatedError);
      const again = (await runner.forward(batch)).map((row) => argmax(row!));
      for (const sequence of sequences) runner.release(sequence);
      const sequence = runner.allocate()!;
      await feed(runner, sequence, long, 0);
      const undisturbed = argmax(await feed(runner, sequence, long, long.length));
      runner.release(sequence);
      expect(again).toEqual(again.map(() => undisturbed));
    });

    test("does nothing on terminate while nothing runs", async () => {
      runner.terminate();
      expect(await alone(runner, prompts[0]!, 3)).toEqual(recorded.cases[0]!.ids.slice(0, 3));
    });

    test("gives every place once, null when none is left, and a returned place again", () => {
      const places: CacheHandle[] = [];
      for (let place = runner.allocate(); place; place = runner.allocate()) places.push(place);
      expect(places.length).toBeGreaterThanOrEqual(runner.maxSequences);
      expect(new Set(places.map(({ id }) => id)).size).toBe(places.length);
      runner.release(places[1]!);
      runner.release(places[1]!);
      const again = runner.allocate();
      expect(again).not.toBeNull();
      expect(runner.allocate()).toBeNull();
      for (const place of [again!, ...places]) runner.release(place);
    });

    test("takes of the room what it said that a forward takes, shares a beginning, and gives all back", async () => {
      const { blockTokens, blocks, free } = runner.room;
      expect(free).toBe(blocks);
      const [from, to] = [runner.allocate()!, runner.allocate()!];
      expect(runner.room.free).toBe(free);
      const length = 2 * blockTokens + 3;
      let known = 0;
      for (const count of [1, blockTokens - 1, 1, blockTokens, 2]) {
        const [needed, before] = [runner.blocksFor(from, known, count), runner.room.free];
        await feed(runner, from, cycle(prompts, count, known), known);
        known += count;
        expect(before - runner.room.free).toBe(needed);
        expect(free - runner.room.free).toBe(Math.ceil(known / blockTokens));
      }
      expect(runner.blocksFor(from, length, 1)).toBe(0);
      runner.copyPrefix(from, to, length);
      expect(free - runner.room.free).toBeGreaterThan(3);
      expect(free - runner.room.free).toBeLessThanOrEqual(6);
      runner.release(from);
      expect(free - runner.room.free).toBe(3);
      await feed(runner, to, [7], 1); // what lies behind is forgotten
      expect(free - runner.room.free).toBe(1);
      runner.release(to);
      expect(runner.room.free).toBe(free);
    });

    test("refuses a batch and a copy for which there is no room, and changes nothing", async () => {
      const fill = async (sequence: CacheHandle, length: number) => {
        for (let at = 0; at < length && runner.room.free > 0; at += 32)
          await feed(runner, sequence, cycle(prompts, Math.min(32, length - at), at), at);
        return sequence;
      };
      const [first, second] = [await fill(runner.allocate()!, 200), await fill(runner.allocate()!, 201)];
      const others: CacheHandle[] = [];
      while (runner.room.free > 0) others.push(await fill(runner.allocate()!, runner.spec.contextLength));
      expect(runner.room.free).toBe(0);
      const entry = (sequence: CacheHandle, position: number, count: number): BatchEntry => {
        return { sequence, tokens: Int32Array.from(cycle(prompts, count, position)), position, wantsLogits: "last" };
      };
      const within = [entry(first, 200, 2), entry(second, 201, 1)];
      const expected = (await runner.forward(within)).map((row) => row!.slice());
      await expect(runner.forward([within[0]!, entry(second, 201, 40)])).rejects.toThrow(RangeError);
      expect(runner.room.free).toBe(0);
      expect(await runner.forward(within)).toEqual(expected);
      const empty = runner.allocate();
      if (empty) {
        expect(() => runner.copyPrefix(first, empty, 33)).toThrow(RangeError);
        expect(runner.room.free).toBe(0);
        await expect(runner.forward([entry(empty, 0, 1)])).rejects.toThrow(RangeError);
        runner.release(empty);
      }
      expect(await runner.forward(within)).toEqual(expected);
      for (const sequence of [first, second, ...others]) runner.release(sequence);
      expect(runner.room.free).toBe(runner.room.blocks);
    });

    test("gives the logits of every position when asked, the last row being the last position's", async () => {
      const prompt = prompts.at(-1)!;
      const { vocabSize, allLogits } = runner.spec;
      const sequence = runner.allocate()!;
      const entry: BatchEntry = { sequence, tokens: Int32Array.from(prompt), position: 0, wantsLogits: "all" };
      if (!allLogits) {
        await expect(runner.forward([entry])).rejects.toThrow("last position only");
      } else {
        const [all] = await runner.forward([entry]);
        expect(all!.length).toBe(prompt.length * vocabSize);
        const rows = prompt.map((_, i) => argmax(all!.subarray(i * vocabSize, (i + 1) * vocabSize)));
        for (const i of [0, 1, prompt.length - 1]) {
          const one = await feed(runner, sequence, prompt.slice(0, i + 1), 0);
          expect(argmax(one)).toBe(rows[i]);
        }
      }
      runner.release(sequence);
    });

    test("checks several tokens of several sequences at once, beside single ones and a prompt", async () => {
      if (!runner.spec.allLogits) return;
      const { vocabSize } = runner.spec;
      const counts = [3, 1, 4, 20];
      const texts = counts.map((count, i) => cycle(prompts, 30 + count, 7 * i));
      const expected: number[][] = [];
      for (const [i, text] of texts.entries()) {
        const sequence = runner.allocate()!;
        await feed(runner, sequence, text.slice(0, 30), 0);
        const rows: number[] = [];
        for (let at = 30; at < text.length; at++) rows.push(argmax(await feed(runner, sequence, [text[at]!], at)));
        expected.push(i === 3 ? rows.slice(-1) : rows);
        runner.release(sequence);
      }
      const sequences = texts.map(() => runner.allocate()!);
      for (const [i, sequence] of sequences.entries()) await feed(runner, sequence, texts[i]!.slice(0, 30), 0);
      const answers = await runner.forward(
        sequences.map((sequence, i) => {
          const tokens = Int32Array.from(texts[i]!.slice(30));
          return { sequence, tokens, position: 30, wantsLogits: i === 3 ? "last" : "all" };
        }),
      );
      const rowsOf = (logits: Float32Array) =>
        Array.from({ length: logits.length / vocabSize }, (_, row) =>
          argmax(logits.subarray(row * vocabSize, (row + 1) * vocabSize)),
        );
      expect(answers.map((logits) => rowsOf(logits!))).toEqual(expected);
      for (const sequence of sequences) runner.release(sequence);
    });

    test("computes some of its sequences while others rest, in any turn, as each alone", async () => {
      const texts = [9, 40, 3, 70].map((length, i) => cycle(prompts, length, 5 * i));
      const expected: number[][] = [];
      for (const text of texts) expected.push(await alone(runner, text, 16));
      const rows = texts.map((text) => ({ sequence: runner.allocate()!, text: [...text], ids: [] as number[] }));
      for (const { sequence, text } of rows) await feed(runner, sequence, text.slice(0, -1), 0);
      for (const turn of [[0, 3], [1, 2], [2, 0], [0, 1, 3], [2], [3, 1]])
        for (let step = 0; step < 4; step++) {
          const taking = turn.map((i) => rows[i]!);
          const answers = await runner.forward(
            taking.map(({ sequence, text }) => {
              return { sequence, tokens: Int32Array.of(text.at(-1)!), position: text.length - 1, wantsLogits: "last" };
            }),
          );
          for (const [i, { text, ids }] of taking.entries()) {
            ids.push(argmax(answers[i]!));
            text.push(ids.at(-1)!);
          }
        }
      for (const [i, { ids }] of rows.entries()) {
        const eos = ids.findIndex((id) => runner.spec.eosIds.includes(id));
        const answer = (eos < 0 ? ids : ids.slice(0, eos)).slice(0, 16);
        expect(answer, `sequence ${i}`).toEqual(expected[i]!.slice(0, answer.length));
        expect(ids.length).toBeGreaterThanOrEqual(12);
      }
      for (const { sequence } of rows) runner.release(sequence);
    });

    test("gives no logits to an entry that wants none", async () => {
      const sequence = runner.allocate()!;
      const tokens = Int32Array.from(prompts[0]!);
      expect(await runner.forward([{ sequence, tokens, position: 0, wantsLogits: "none" }])).toEqual([null]);
      runner.release(sequence);
    });

    test("refuses a gap, too many tokens, a full sequence and a place that was given back", async () => {
      const sequence = runner.allocate()!;
      const entry = (length: number, position: number): BatchEntry => ({
        sequence,
        tokens: new Int32Array(length).fill(5),
        position,
        wantsLogits: "last",
      });
      await expect(runner.forward([entry(1, 1)])).rejects.toThrow(RangeError);
      await expect(runner.forward([entry(runner.maxTokens + 1, 0)])).rejects.toThrow(RangeError);
      await expect(runner.forward([entry(0, 0)])).rejects.toThrow(RangeError);
      await expect(runner.forward([entry(1, 0), entry(1, 0)])).rejects.toThrow(RangeError);
      runner.release(sequence);
      await expect(runner.forward([entry(1, 0)])).rejects.toThrow(RangeError);
    });

    test("fills a sequence to the last position of the context and not beyond", async () => {
      const { contextLength } = runner.spec;
      const sequence = runner.allocate()!;
      let position = 0;
      while (position < contextLength) {
        const count = Math.min(runner.maxTokens, contextLength - position);
        const logits = await feed(runner, sequence, new Array<number>(count).fill(7), position);
        expect(logits.every(Number.isFinite)).toBe(true);
        position += count;
      }
      await expect(feed(runner, sequence, [7], position)).rejects.toThrow(RangeError);
      runner.release(sequence);
    });
  });
}

/** So many tokens of the prompts, one behind the other from `start` on and over again. */
function cycle(prompts: readonly (readonly number[])[], length: number, start: number): number[] {
  const all = prompts.flat();
  return Array.from({ length }, (_, i) => all[(start + i) % all.length]!);
}

/** The logits of every token of a batch, as bits. */
async function bitsOf(
  runner: ModelRunner,
  batch: readonly { sequence: CacheHandle; tokens: readonly number[]; position: number }[],
): Promise<Uint32Array[]> {
  const entries = batch.map(({ sequence, tokens, position }): BatchEntry => {
    return { sequence, tokens: Int32Array.from(tokens), position, wantsLogits: "all" };
  });
  return (await runner.forward(entries)).map((logits) => new Uint32Array(logits!.slice().buffer));
}

function join(parts: readonly Uint32Array[]): Uint32Array {
  return Uint32Array.from(parts.flatMap((part) => [...part]));
}

/** At how many places two lists differ. */
function differing(a: Uint32Array, b: Uint32Array): number {
  return a.length === b.length ? a.reduce((sum, item, i) => sum + Number(item !== b[i]), 0) : Number.POSITIVE_INFINITY;
}

/** Appends tokens and returns the logits behind the last. */
async function feed(
  runner: ModelRunner,
  sequence: CacheHandle,
  tokens: readonly number[],
  position: number,
): Promise<Float32Array> {
  const [logits] = await runner.forward([{ sequence, tokens: Int32Array.from(tokens), position, wantsLogits: "last" }]);
  return logits!;
}

/** Continues greedily for `count` tokens, or up to an ending one, and gives the place back. */
async function go(
  runner: ModelRunner,
  sequence: CacheHandle,
  first: Float32Array,
  position: number,
  count: number,
): Promise<number[]> {
  const ids: number[] = [];
  let logits = first;
  while (ids.length < count) {
    const id = argmax(logits);
    if (runner.spec.eosIds.includes(id)) break;
    ids.push(id);
    if (ids.length < count) logits = await feed(runner, sequence, [id], position++);
  }
  runner.release(sequence);
  return ids;
}

async function alone(runner: ModelRunner, prompt: readonly number[], count: number, chunk = 128): Promise<number[]> {
  const sequence = runner.allocate()!;
  let logits = new Float32Array();
  for (let i = 0; i < prompt.length; i += chunk)
    logits = (await feed(runner, sequence, prompt.slice(i, i + chunk), i)) as Float32Array<ArrayBuffer>;
  return go(runner, sequence, logits, prompt.length, count);
}

/** Every sequence in one batch per step: chunks of prompts beside single tokens, joining as places become free. */
async function together(
  runner: ModelRunner,
  prompts: readonly (readonly number[])[],
  count: number,
  chunk: number,
): Promise<number[][]> {
  const answers: number[][] = prompts.map(() => []);
  const waiting = [...prompts.entries()];
  const running: { index: number; sequence: CacheHandle; tokens: number[]; position: number }[] = [];
  while (waiting.length > 0 || running.length > 0) {
    const sequence = waiting.length > 0 && running.length < runner.maxSequences ? runner.allocate() : null;
    if (sequence) {
      const [index, prompt] = waiting.shift()!;
      running.push({ index, sequence, tokens: [...prompt], position: 0 });
    }
    const batch = running.map(({ sequence, tokens, position }): BatchEntry => {
      const next = tokens.slice(position, position + chunk);
      return {
        sequence,
        tokens: Int32Array.from(next),
        position,
        wantsLogits: position + next.length === tokens.length ? "last" : "none",
      };
    });
    const logits = await runner.forward(batch);
    const picked = logits.map((row) => (row ? argmax(row) : undefined));
    for (const [i, state] of [...running].entries()) {
      state.position += batch[i]!.tokens.length;
      const id = picked[i];
      if (id === undefined) continue;
      const answer = answers[state.index]!;
      const ended = runner.spec.eosIds.includes(id);
      if (!ended) answer.push(id);
      state.tokens.push(id);
      if (!ended && answer.length < count) continue;
      running.splice(running.indexOf(state), 1);
      runner.release(state.sequence);
    }
  }
  return answers;
}
