// Formats of answers, compiled for one model's vocabulary and kept for the next request that asks for the same. Nothing
// outlives the model. A compile takes time in proportion to the source, which is bounded; what tokens may follow is
// worked out where an answer comes to it.

import type { TokenConstraint } from "../decoder/constraint.ts";
import { type Automaton, buildAutomaton } from "./automaton.ts";
import { checkGrammar } from "./check-grammar.ts";
import { AmbiguousGrammarError, InvalidGrammarError } from "./errors.ts";
import { type Grammar, optional, sequence, text } from "./expression.ts";
import { GrammarConstraint } from "./grammar-constraint.ts";
import { grammarOf, type OutputFormat } from "./output-format.ts";
import { Recognizer } from "./recognizer.ts";
import { type TokenSource, Vocabulary, type VocabularyOptions } from "./vocabulary.ts";

export interface CompileOptions {
  /** The answer goes on with a text that is shown before it, so that a blank at its beginning is shown too. Default false. */
  readonly afterText?: boolean;
}

export interface CompiledGrammar {
  /** An answer of its own. */
  start(): TokenConstraint;
}

/** Each takes up to about 16 MB once many answers have gone through it. */
const maxKept = 8;

export class GrammarCompiler {
  readonly #vocabulary: Vocabulary;
  /** The least recently used first. */
  readonly #kept = new Map<string, CompiledGrammar>();

  /** @throws VocabularyError when answers of this model cannot be constrained */
  constructor(tokens: TokenSource, options: VocabularyOptions) {
    this.#vocabulary = new Vocabulary(tokens, options);
  }

  /** @throws InvalidGrammarError with every violation */
  compile(format: OutputFormat, { afterText = false }: CompileOptions = {}): CompiledGrammar {
    const key = JSON.stringify([afterText, format]);
    const known = this.#kept.get(key);
    if (known) this.#kept.delete(key);
    const compiled = known ?? this.#checked(format, afterText);
    this.#kept.set(key, compiled);
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= maxKept) break;
      this.#kept.delete(oldest);
    }
    return compiled;
  }

  #checked(format: OutputFormat, afterText: boolean): CompiledGrammar {
    try {
      return this.#compile(format, afterText);
    } catch (error) {
      if (!(error instanceof AmbiguousGrammarError)) throw error;
      throw new InvalidGrammarError([
        { field: "", description: "begins in too many ways at once; use fewer alternatives, or smaller counts." },
      ]);
    }
  }

  #compile(format: OutputFormat, afterText: boolean): CompiledGrammar {
    const grammar = checkGrammar(grammarOf(format));
    const free = format.type === "calls" && format.free !== undefined;
    const automaton =
      this.#vocabulary.dropsFirstBlank && !afterText && !free ? behindBlank(grammar) : buildAutomaton(grammar);
    const recognizer = new Recognizer(automaton);
    recognizer.start();
    return { start: () => new GrammarConstraint(this.#vocabulary, recognizer, format.type === "calls") };
  }
}

/** For answers whose first blank is not shown: one that is not part of the text, and must be there if the text begins with one. */
function behindBlank(grammar: Grammar): Automaton {
  const plain = new Recognizer(buildAutomaton(grammar));
  const needed = plain.step(plain.start(), 0x20) !== null;
  const blank = needed ? text(" ") : optional(text(" "));
  return buildAutomaton({ ...grammar, root: sequence(blank, grammar.root) });
}
