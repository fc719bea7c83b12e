// An answer of a model that likes every token the same: whatever a constraint leaves, until the answer ends. What closes
// is liked better and better, so that most answers end.
import type { CompileOptions, GrammarCompiler } from "../../server/grammar/grammar-compiler.ts";
import type { OutputFormat } from "../../server/grammar/output-format.ts";
import { TextStream } from "../../server/tokenizer/text-stream.ts";
import type { TestVocabulary } from "./vocabularies.ts";

export interface Walk {
  /** As a client sees it. */
  readonly text: string;
  readonly ids: number[];
  /** It came to an end within the tokens that it had. */
  readonly ended: boolean;
}

export interface WalkOptions extends CompileOptions {
  readonly seed?: number;
  readonly maxTokens?: number;
  /** Tokens that are shown though they are control tokens. */
  readonly shown?: readonly number[];
}

export function walk(
  compiler: GrammarCompiler,
  vocabulary: TestVocabulary,
  format: OutputFormat,
  { seed = 1, maxTokens = 400, shown = [], ...options }: WalkOptions = {},
): Walk {
  const { tokenizer, vocabSize, eosIds } = vocabulary;
  const random = generator(seed);
  const constraint = compiler.compile(format, options).start();
  const stream = new TextStream({
    decode: (ids) => tokenizer.decode(ids),
    isHidden: (id) => tokenizer.isHidden(id) && !shown.includes(id),
  });
  const ids: number[] = [];
  const logits = new Float32Array(vocabSize);
  let text = "";
  let ended = false;
  try {
    while (ids.length < maxTokens && !ended) {
      logits.fill(0);
      constraint.mask(logits);
      const id = pick(logits, random, ids.length / maxTokens, vocabulary);
      ended = eosIds.includes(id);
      if (ended) break;
      constraint.accept(id);
      ids.push(id);
      text += stream.push(id).text;
      ended = constraint.finished;
    }
  } finally {
    constraint.dispose();
  }
  return { text: text + stream.flush().text, ids, ended };
}

/** Whether a token does something to end what has begun, by id. */
const closing = new WeakMap<TestVocabulary, Uint8Array>();

function pick(logits: Float32Array, random: () => number, hurry: number, vocabulary: TestVocabulary): number {
  const { tokenizer, eosIds, vocabSize } = vocabulary;
  let closes = closing.get(vocabulary);
  if (!closes) {
    closes = Uint8Array.from({ length: vocabSize }, (_, id) => {
      return eosIds.includes(id) || /^["\]}]/.test(tokenizer.token(id) ?? "") ? 1 : 0;
    });
    closing.set(vocabulary, closes);
  }
  const left: number[] = [];
  const ending: number[] = [];
  for (let id = 0; id < vocabSize; id++) {
    if (logits[id] === -Infinity) continue;
    left.push(id);
    if (closes[id] === 1) ending.push(id);
  }
  if (left.length === 0) throw new Error("No token is left.");
  const from = ending.length > 0 && random() < 0.2 + 3 * hurry ? ending : left;
  return from[Math.floor(random() * from.length)]!;
}

/** Mulberry32. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
