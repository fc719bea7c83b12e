// A checked grammar as a machine that reads bytes: numbered states with edges that a byte takes, edges that are free, and
// calls of other rules, which come back. It follows no text; `recognizer.ts` does.

import { InvalidGrammarError } from "./errors.ts";
import type { Expression, Grammar } from "./expression.ts";
import { takesAnyPlain } from "./plain-text.ts";
import { utf8Ranges } from "./utf8.ts";

/** About 100 bytes each. A string of at most 10,000 characters takes 10,000. */
const maxStates = 60_000;

/** What is repeated is written out each time up to so many states, and called as a rule beyond. */
const maxCopied = 3;

export interface State {
  /** Lowest byte, highest byte, next state; in turn. */
  readonly edges: number[];
  /** Next states that take no byte. */
  readonly free: number[];
  /** First state of a rule, and the state where it goes on afterwards; in turn. */
  readonly calls: number[];
  /** The rule that it belongs to is over here. */
  end: boolean;
  /** Nothing but the end of its rule can follow. */
  last: boolean;
  /** So many plain characters, any of them, may come next. May be Infinity. */
  plain: number;
}

export interface Automaton {
  readonly states: readonly State[];
  readonly start: number;
  /** For each byte its class; bytes of one class are the same to every state. */
  readonly classOf: Uint8Array;
  /** One byte of each class. */
  readonly representatives: readonly number[];
}

/** @throws InvalidGrammarError when it is too large */
export function buildAutomaton(grammar: Grammar): Automaton {
  const builder = new Builder(grammar.rules);
  const start = builder.build(grammar.root);
  for (const state of builder.states) state.last = isLast(builder.states, state);
  return { states: builder.states, start, ...byteClasses(builder.states) };
}

class Builder {
  readonly states: State[] = [];
  readonly #rules: ReadonlyMap<string, Expression>;
  /** First states of the rules that are called, by name or by what is repeated. */
  readonly #called = new Map<string | Expression, number>();
  readonly #toBuild: { expression: Expression; start: number }[] = [];

  constructor(rules: ReadonlyMap<string, Expression>) {
    this.#rules = rules;
  }

  /** @returns the first state */
  build(root: Expression): number {
    const start = this.#state();
    this.#toBuild.push({ expression: root, start });
    for (let next = this.#toBuild.pop(); next; next = this.#toBuild.pop()) {
      this.states[this.#add(next.expression, next.start)]!.end = true;
    }
    return start;
  }

  #state(): number {
    if (this.states.length >= maxStates) {
      throw new InvalidGrammarError([
        {
          field: "",
          description: `is too large: it has more than ${maxStates} places; use fewer properties or values, or smaller counts.`,
        },
      ]);
    }
    return this.states.push({ edges: [], free: [], calls: [], end: false, last: false, plain: 0 }) - 1;
  }

  /** @returns the state after it, which has no edges yet */
  #add(expression: Expression, from: number): number {
    switch (expression.type) {
      case "text":
        return new TextEncoder()
          .encode(expression.text)
          .reduce((before, byte) => this.#edge(before, byte, byte, this.#state()), from);
      case "set": {
        const to = this.#state();
        for (const range of expression.ranges) {
          for (const bytes of utf8Ranges(range)) {
            bytes.reduce((before, [low, high], i) => {
              return this.#edge(before, low, high, i === bytes.length - 1 ? to : this.#state());
            }, from);
          }
        }
        return to;
      }
      case "sequence":
        return expression.items.reduce((before, item) => this.#add(item, before), from);
      case "choice": {
        const to = this.#state();
        const texts = expression.items.filter((item) => item.type === "text");
        if (texts.length > 1)
          this.#texts(
            texts.map((item) => item.text),
            from,
            to,
          );
        for (const item of expression.items) {
          if (item.type === "text" && texts.length > 1) continue;
          const first = this.#state();
          this.#free(from, first);
          this.#free(this.#add(item, first), to);
        }
        return to;
      }
      case "repeat":
        return this.#repeat(expression, from);
      case "rule":
        return this.#call(expression.name, this.#rules.get(expression.name)!, from);
      case "without":
        return this.#without(expression.marks, from);
    }
  }

  /** One of many texts: what they have in common at their beginning is there once. */
  #texts(texts: readonly string[], from: number, to: number): void {
    const next = new Map<number, Map<number, number>>();
    const first = this.#state();
    this.#free(from, first);
    for (const value of texts) {
      let at = first;
      for (const byte of new TextEncoder().encode(value)) {
        const known = next.get(at) ?? new Map<number, number>();
        next.set(at, known);
        const then = known.get(byte) ?? this.#edge(at, byte, byte, this.#state());
        known.set(byte, then);
        at = then;
      }
      if (!this.states[at]!.free.includes(to)) this.#free(at, to);
    }
  }

  #repeat({ item, min, max }: Expression & { type: "repeat" }, from: number): number {
    const plain = takesAnyPlain(item, this.#rules);
    const add = (before: number) =>
      item.type === "rule" || weight(item) <= maxCopied ? this.#add(item, before) : this.#call(item, item, before);
    let before = this.#state();
    this.#free(from, before);
    for (let done = 0; done < min; done++) {
      if (plain) this.states[before]!.plain = max - done;
      before = add(before);
    }
    const to = this.#state();
    if (max === Infinity) {
      const loop = this.#state();
      if (plain) this.states[loop]!.plain = Infinity;
      this.#free(before, loop);
      this.#free(loop, to);
      this.#free(add(loop), loop);
      return to;
    }
    for (let done = min; done < max; done++) {
      if (plain) this.states[before]!.plain = max - done;
      this.#free(before, to);
      before = add(before);
    }
    this.#free(before, to);
    return to;
  }

  #call(key: string | Expression, expression: Expression, from: number): number {
    let start = this.#called.get(key);
    if (start === undefined) {
      start = this.#state();
      this.#called.set(key, start);
      this.#toBuild.push({ expression, start });
    }
    const to = this.#state();
    this.states[from]!.calls.push(start, to);
    return to;
  }

  /** Every text in which no mark occurs: the states of Aho and Corasick's search, without those that have found one. */
  #without(marks: readonly string[], from: number): number {
    const to = this.#state();
    const nodes: { next: Map<number, number>; back: number; found: boolean; state: number }[] = [];
    const node = () => nodes.push({ next: new Map(), back: 0, found: false, state: this.#state() }) - 1;
    node();
    for (const mark of marks) {
      let at = 0;
      for (const byte of new TextEncoder().encode(mark)) {
        const known = nodes[at]!.next.get(byte) ?? node();
        nodes[at]!.next.set(byte, known);
        at = known;
      }
      nodes[at]!.found = true;
    }
    const step = (at: number, byte: number): number => {
      for (let look = at; ; look = nodes[look]!.back) {
        const next = nodes[look]!.next.get(byte);
        if (next !== undefined || look === 0) return next ?? 0;
      }
    };
    const order = [0];
    for (const at of order) {
      for (const [byte, next] of nodes[at]!.next) {
        if (at !== 0) nodes[next]!.back = step(nodes[at]!.back, byte);
        if (nodes[nodes[next]!.back]!.found) nodes[next]!.found = true;
        order.push(next);
      }
    }
    this.#free(from, nodes[0]!.state);
    for (const [at, { found, state }] of nodes.entries()) {
      if (found) continue;
      this.#free(state, to);
      for (let byte = 0; byte < 256; ) {
        const next = step(at, byte);
        let high = byte;
        while (high < 255 && step(at, high + 1) === next) high++;
        if (!nodes[next]!.found) this.#edge(state, byte, high, nodes[next]!.state);
        byte = high + 1;
      }
    }
    return to;
  }

  #edge(from: number, low: number, high: number, to: number): number {
    this.states[from]!.edges.push(low, high, to);
    return to;
  }

  #free(from: number, to: number): void {
    this.states[from]!.free.push(to);
  }
}

/** States that it takes, about. */
function weight(expression: Expression): number {
  switch (expression.type) {
    case "text":
      return expression.text.length;
    case "set":
      return expression.ranges.every(([, to]) => to < 0x80) ? 1 : 1 + 2 * expression.ranges.length;
    case "sequence":
    case "choice":
      return expression.items.reduce((sum, item) => sum + weight(item), 1);
    case "repeat":
      return 2 + weight(expression.item) * Math.min(expression.max, expression.min + 1);
    case "rule":
      return 1;
    case "without":
      return 1000;
  }
}

function isLast(states: readonly State[], state: State): boolean {
  let at = state;
  for (let hops = 0; hops < 8; hops++) {
    if (at.edges.length > 0 || at.calls.length > 0) return false;
    if (at.end) return at.free.length === 0;
    if (at.free.length !== 1) return false;
    at = states[at.free[0]!]!;
  }
  return false;
}

function byteClasses(states: readonly State[]): Pick<Automaton, "classOf" | "representatives"> {
  const begins = new Uint8Array(257);
  begins[0] = 1;
  for (const { edges } of states) {
    for (let i = 0; i < edges.length; i += 3) {
      begins[edges[i]!] = 1;
      begins[edges[i + 1]! + 1] = 1;
    }
  }
  const classOf = new Uint8Array(256);
  const representatives: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (begins[byte] === 1) representatives.push(byte);
    classOf[byte] = representatives.length - 1;
  }
  return { classOf, representatives };
}
