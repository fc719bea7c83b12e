// What is wrong with an input, gathered: MLflow's words for the first, and everything by field. It never holds the data
// itself and never knows the rules.
import { ApiError, type FieldViolation, type Reason } from "@modelwire/proto";

/** Beyond as many, the search for more is given up: a hostile input has millions. */
const MOST = 100;

/** One conversion that fails; whoever knows the field turns it into a violation. */
export class Misfit extends Error {
  /** What would be right. */
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** A failure that MLflow does not put into words of its own: one inside of numpy or pandas, or a loss that it lets pass. */
export class RawMisfit extends Misfit {}

/** A conversion that numpy or pandas would make without a word, and lose something by it. */
export function lossOf(what: string, dtype: string, remedy: string): RawMisfit {
  return new RawMisfit(`Can not convert ${what} to ${dtype} without loss.`, remedy);
}

export class Findings {
  /** Where the search is: a column or parameter, then keys and positions in it. */
  readonly path: (string | number)[] = [];
  /** What MLflow would say instead of the words of what is found next, if it is the first. */
  outer: (() => string) | undefined;
  /** Stands before the first words. */
  prefix: () => string;
  readonly #reason: Reason;
  readonly #violations: FieldViolation[] = [];
  #first: string | undefined;

  constructor(reason: Reason, prefix = "") {
    this.#reason = reason;
    this.prefix = () => prefix;
  }

  get count(): number {
    return this.#violations.length;
  }

  /**
   * Notes what is wrong at the path, in MLflow's words, and what would be right.
   *
   * @param first what MLflow says when this is the first, if that is something else.
   * @throws ApiError when it is one too many.
   */
  add(words: string, remedy: string, first?: string): void {
    this.#note(words, remedy, this.outer?.() ?? first ?? words);
  }

  /** Notes a {@link Misfit}; a {@link RawMisfit} is not put into outer words. */
  addMisfit(error: Misfit): void {
    if (error instanceof RawMisfit) this.#note(error.message, error.remedy, error.message);
    else this.add(error.message, error.remedy);
  }

  #note(words: string, remedy: string, first: string): void {
    this.#first ??= this.prefix() + first;
    this.#violations.push({ field: fieldOf(this.path), description: sentences(words, remedy) });
    if (this.#violations.length < MOST) return;
    this.#violations.push({ field: "", description: "There may be more: the search ends here." });
    this.end();
  }

  /** What `read` gives, and whether it was found to fit: a {@link Misfit} is noted instead. */
  attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      this.addMisfit(error);
      return undefined;
    }
  }

  /** Does what `search` does one step further in. */
  within<T>(step: string | number, search: () => T): T {
    this.path.push(step);
    try {
      return search();
    } finally {
      this.path.pop();
    }
  }

  /** @throws ApiError with everything, when anything was found. */
  end(): void {
    if (this.#first === undefined) return;
    throw new ApiError(this.#reason, this.#first, { violations: this.#violations });
  }
}

/** MLflow ends some of its words with a full stop and others not. */
function sentences(words: string, remedy: string): string {
  return remedy === "" ? words : `${words.replace(/[^.!?]$/, "$&.")} ${remedy}`;
}

/** `messages[0].role`; a column of an unnamed table is `[0]`. */
function fieldOf(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`),
    "",
  );
}
