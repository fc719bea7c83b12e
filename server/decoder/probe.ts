// Finds out at load, and as its warm-up, what a runner does with a model: whether a row of a batch has the bits that it has
// alone, and how long steps take. It compares bits and says what it saw; that a model which passes never differs elsewhere
// it cannot prove. It knows logits, and neither text nor which runner computes them.

import type { BatchEntry, CacheHandle, ModelRunner } from "../onnx/model-runner.ts";

export interface ProbeResult {
  /** Every row that was compared had the same bits in every way of computing it. */
  readonly rowInvariant: boolean;
  /** What was compared, or which of it differed, in words. */
  readonly detail: string;
  /** Of one token of one sequence; the median of a few. */
  readonly stepMs: number;
  /** What one more token of a prompt adds to a step. */
  readonly promptTokenMs: number;
}

/** Positions of the text: more than a block of the cache, and a few tokens behind it. */
const textLength = 36;
const tailLength = 3;
/** The first tokens of the text, as a prompt that is cut elsewhere. */
const otherCut = 7;
/** Sequences of the largest batch. */
const mostSequences = 8;

/**
 * Nine steps with fifty tokens in all: about a second of a 3.8B model on two cores. Leaves nothing behind. Nobody else
 * uses the runner meanwhile.
 * @param now in milliseconds
 * @throws whatever `forward` throws
 */
export async function probeRunner(runner: ModelRunner, now = () => performance.now()): Promise<ProbeResult> {
  const probe = new Probe(runner, now);
  try {
    return await probe.run();
  } finally {
    probe.release();
  }
}

/** Tokens of the text from one position up to, not including, another, for a sequence that has those before. */
interface Part {
  readonly sequence: CacheHandle;
  readonly from: number;
  readonly to: number;
}

class Probe {
  readonly #runner: ModelRunner;
  readonly #now: () => number;
  readonly #text: Int32Array;
  /** Bits of the logits behind each position, as the row alone had them first. */
  readonly #alone = new Map<number, Uint32Array>();
  readonly #sequences: CacheHandle[] = [];
  readonly #differences: string[] = [];

  constructor(runner: ModelRunner, now: () => number) {
    this.#runner = runner;
    this.#now = now;
    this.#text = randomIds(Math.min(textLength, runner.spec.contextLength), runner.spec.vocabSize);
  }

  async run(): Promise<ProbeResult> {
    const { spec, maxSequences, maxTokens, room } = this.#runner;
    const end = this.#text.length;
    const prompt = end - tailLength;
    const most = Math.min(mostSequences, maxSequences, Math.floor(room.free / Math.ceil(end / room.blockTokens)));
    if (prompt < otherCut || most === 0) return await this.#tooSmall();

    const first = this.#open()!;
    await this.#timed(part(first, 0, 1)); // the pages of the weights come into memory
    const singles = [await this.#timed(part(first, 1, 2))];
    const chunks: number[] = [];
    const step = Math.min(maxTokens, prompt - 2);
    for (let from = 2; from < prompt; from += step)
      chunks.push(await this.#timed(part(first, from, Math.min(from + step, prompt))));
    for (let from = prompt; from < end; from++) singles.push(await this.#timed(part(first, from, from + 1)));

    const others: CacheHandle[] = [];
    while (others.length < most - 1) {
      const sequence = this.#open();
      if (!sequence) break;
      this.#runner.copyPrefix(first, sequence, end - 1);
      others.push(sequence);
    }
    const last = [...others, first].map((sequence) => part(sequence, end - 1, end));
    await this.#compare(`single tokens of ${last.length} sequences at once`, last);
    const [second = first] = others;
    if (second !== first) this.#runner.copyPrefix(first, second, prompt);
    await this.#compare("several tokens at once", [part(second, prompt, Math.min(end, prompt + maxTokens))]);
    const cut = part(second, 0, Math.min(maxTokens, spec.allLogits ? otherCut : 2));
    await this.#compare("a prompt that is cut elsewhere", second === first ? [cut] : [cut, part(first, end - 1, end)]);

    const stepMs = median(singles);
    const chunkMs = chunks.reduce((sum, ms) => sum + ms, 0);
    const promptTokenMs = (chunkMs - chunks.length * stepMs) / Math.max(1, prompt - 2 - chunks.length);
    const rowInvariant = this.#differences.length === 0;
    const same = `The rows of ${last.length} sequences at once, of several tokens at once and of prompts that are cut elsewhere have the bits that they have alone.`;
    const detail = rowInvariant ? same : this.#differences.join(" ");
    return { rowInvariant, detail, stepMs, promptTokenMs: Math.max(0, promptTokenMs) };
  }

  /** Gives every place back. */
  release(): void {
    for (const sequence of this.#sequences) this.#runner.release(sequence);
  }

  async #tooSmall(): Promise<ProbeResult> {
    const first = this.#runner.room.free > 0 ? this.#open() : undefined;
    const stepMs = first ? await this.#timed(part(first, 0, 1)) : 0;
    const detail = "Context or cache are too small for rows to be compared.";
    return { rowInvariant: false, detail, stepMs, promptTokenMs: stepMs };
  }

  #open(): CacheHandle | null {
    const sequence = this.#runner.allocate();
    if (sequence) this.#sequences.push(sequence);
    return sequence;
  }

  /** Computes a part alone and remembers its logits. @returns milliseconds */
  async #timed(computed: Part): Promise<number> {
    const started = this.#now();
    const [logits] = await this.#runner.forward([this.#entry(computed)]);
    const elapsed = this.#now() - started;
    for (const [position, bits] of this.#rows(computed, logits!)) this.#alone.set(position, bits.slice());
    return elapsed;
  }

  /** Computes parts together and holds each row against the same row alone. */
  async #compare(what: string, batch: readonly Part[]): Promise<void> {
    const answers = await this.#runner.forward(batch.map((one) => this.#entry(one)));
    let [rows, differing] = [0, 0];
    for (const [i, one] of batch.entries()) {
      for (const [position, bits] of this.#rows(one, answers[i]!)) {
        const alone = this.#alone.get(position);
        if (!alone) continue;
        rows++;
        if (bits.some((item, at) => item !== alone[at])) differing++;
      }
    }
    if (differing > 0) this.#differences.push(`Of ${what}, ${differing} of ${rows} rows differ from the row alone.`);
  }

  #entry({ sequence, from, to }: Part): BatchEntry {
    const wantsLogits = this.#runner.spec.allLogits ? "all" : "last";
    return { sequence, tokens: this.#text.slice(from, to), position: from, wantsLogits };
  }

  /** The rows that were given, by position; views. */
  #rows({ to }: Part, logits: Float32Array): [number, Uint32Array][] {
    const { vocabSize } = this.#runner.spec;
    const given = logits.length / vocabSize;
    return Array.from({ length: given }, (_, i) => {
      return [to - given + i, new Uint32Array(logits.buffer, logits.byteOffset + 4 * i * vocabSize, vocabSize)];
    });
  }
}

function part(sequence: CacheHandle, from: number, to: number): Part {
  return { sequence, from, to };
}

/** The same ones each time; from all over the vocabulary. */
function randomIds(count: number, vocabSize: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => Math.imul(i + 1, 2654435761) % vocabSize).map(Math.abs);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
