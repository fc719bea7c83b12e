// Follows a text through an automaton, byte by byte, in every way that it can be read. What was worked out once is kept,
// within bounds, so that the same place is never worked out twice by the answers of one grammar.

import type { Automaton } from "./automaton.ts";
import { AmbiguousGrammarError } from "./errors.ts";

/** Where the rule that is being read goes on when it is over. Two that are equal are the same object. */
interface Frame {
  readonly id: number;
  readonly back: number;
  readonly parent: Frame | null;
  readonly called: Map<number, Frame>;
}

/** Everywhere in the grammar where a text may be: it is the same for all texts that may go on in the same ways. */
export interface Position {
  readonly states: readonly number[];
  readonly frames: readonly (Frame | null)[];
  /** The text may end here. */
  readonly ends: boolean;
  /** So many plain characters, any of them, may come next. May be Infinity. */
  readonly plain: number;
  /** By class of byte; null: no such byte may come. */
  readonly next: (Position | null | undefined)[];
  /** Tokens that may come next, a bit each; worked out when it is asked for. */
  allowed: Uint32Array | null;
}

const maxWays = 16_000;
/** Ways looked at for one set of tokens: a tenth of a second. What is common takes a thousandth of it. */
const maxWork = 600_000;
const maxPositions = 8000; // about 1 kB each
const maxMasks = 2000; // 4 kB each for 32,000 tokens

export class Recognizer {
  readonly #automaton: Automaton;
  #positions = new Map<string, Position>();
  #masks = 0;
  #start: Position | undefined;
  #called = new Map<number, Frame>();
  #frames = 0;
  #work = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** @throws AmbiguousGrammarError */
  start(): Position {
    this.#start ??= this.#position([this.#automaton.start], [null]);
    return this.#start;
  }

  /** Work is counted from here on. */
  beginWork(): void {
    this.#work = 0;
  }

  /** Null when the byte may not come. @throws AmbiguousGrammarError */
  step(position: Position, byte: number): Position | null {
    const kind = this.#automaton.classOf[byte]!;
    const known = position.next[kind];
    if (known !== undefined) return known;
    const next = this.#follow(position, this.#automaton.representatives[kind]!);
    position.next[kind] = next;
    return next;
  }

  /** Keeps what may come next at a position, for who comes there again. */
  keepMask(position: Position, allowed: Uint32Array): void {
    if (++this.#masks > maxMasks) this.#forget();
    position.allowed = allowed;
  }

  #follow({ states, frames }: Position, byte: number): Position | null {
    const nextStates: number[] = [];
    const nextFrames: (Frame | null)[] = [];
    for (let i = 0; i < states.length; i++) {
      const { edges } = this.#automaton.states[states[i]!]!;
      for (let e = 0; e < edges.length; e += 3) {
        if (byte < edges[e]! || byte > edges[e + 1]!) continue;
        nextStates.push(edges[e + 2]!);
        nextFrames.push(frames[i]!);
      }
    }
    return nextStates.length === 0 ? null : this.#position(nextStates, nextFrames);
  }

  /** The position at these states and all that can be reached from them without a byte. */
  #position(states: number[], frames: (Frame | null)[]): Position {
    const seen = new Set<number>();
    const kept: { state: number; frame: Frame | null; key: number }[] = [];
    let ends = false;
    let plain = 0;
    while (states.length > 0) {
      const at = states.pop()!;
      const frame = frames.pop()!;
      const key = at + (frame?.id ?? 0) * 0x10000;
      if (seen.has(key)) continue;
      if (seen.size >= maxWays || ++this.#work > maxWork) {
        throw new AmbiguousGrammarError(
          "The text so far can be read in too many ways; make the grammar less ambiguous.",
        );
      }
      seen.add(key);
      const state = this.#automaton.states[at]!;
      if (state.plain > plain) plain = state.plain;
      if (state.end) {
        if (frame === null) ends = true;
        else {
          states.push(frame.back);
          frames.push(frame.parent);
        }
      }
      for (const to of state.free) {
        states.push(to);
        frames.push(frame);
      }
      for (let i = 0; i < state.calls.length; i += 2) {
        states.push(state.calls[i]!);
        frames.push(this.#call(frame, state.calls[i + 1]!));
      }
      if (state.edges.length > 0) kept.push({ state: at, frame, key });
    }
    kept.sort((a, b) => a.key - b.key);
    // How many plain characters may come is told by states that are passed without a byte, so it is part of the name.
    const name = `${ends} ${plain} ${kept.map(({ key }) => key.toString(36)).join(" ")}`;
    const known = this.#positions.get(name);
    if (known) return known;
    const position: Position = {
      states: kept.map(({ state }) => state),
      frames: kept.map(({ frame }) => frame),
      ends,
      plain,
      next: [],
      allowed: null,
    };
    if (this.#positions.size >= maxPositions) this.#forget();
    this.#positions.set(name, position);
    return position;
  }

  #call(frame: Frame | null, back: number): Frame | null {
    // A rule that ends with a call needs no way back to itself.
    if (this.#automaton.states[back]!.last) return frame;
    const called = frame?.called ?? this.#called;
    let made = called.get(back);
    if (made === undefined) {
      made = { id: ++this.#frames, back, parent: frame, called: new Map() };
      called.set(back, made);
    }
    return made;
  }

  /** Answers in the making keep what they hold; everything else is worked out again when it is needed. */
  #forget(): void {
    this.#positions = new Map();
    this.#called = new Map();
    this.#start = undefined;
    this.#masks = 0;
  }
}
