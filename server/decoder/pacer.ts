// How many prompt tokens a step may take, from what steps have taken so far: few beside running answers, whose readers
// watch the time between two tokens, many when nobody waits for one. It knows times and counts, and no clock: times come in.

export interface StepCosts {
  /** Milliseconds of a step with one token. */
  readonly stepMs: number;
  /** Milliseconds that one more prompt token adds to a step. */
  readonly promptTokenMs: number;
}

export interface PacerOptions {
  /** What is known before the first step. */
  readonly costs?: StepCosts;
  /** A step beside running answers may take so many times what it takes without prompt tokens; default 2.2. */
  readonly latencyFactor?: number;
  /** A step in which nobody waits for a next token; default 1000. */
  readonly aloneStepMs?: number;
  /** Most prompt tokens of a step in which answers run, and of one in which none does; default: as many as fit the time. */
  readonly mostBeside?: number;
  readonly mostAlone?: number;
}

/** What a step was made of. `tokens`: of running answers, guesses included. */
export interface StepWork {
  readonly tokens: number;
  readonly promptTokens: number;
}

/** Prompt tokens of a step before anything is known. */
const firstBeside = 32;
const firstAlone = 128;
/**
 * Fewer at a time would take a prompt for ever, and a runner that computes a prompt in a run of its own reads all weights for
 * it.
 */
const least = 8;

export class Pacer {
  readonly #costs: StepCosts | undefined;
  readonly #latencyFactor: number;
  readonly #aloneStepMs: number;
  readonly #mostBeside: number;
  readonly #mostAlone: number;
  /** Milliseconds of steps without prompt tokens, by their tokens. */
  readonly #plain = new Map<number, Recent>();
  /** Milliseconds that a prompt token adds to a step beside answers, and to a step of prompts alone. */
  readonly #beside = new Recent();
  readonly #alone = new Recent();
  /** Milliseconds of a whole step of prompts alone, by its tokens. */
  readonly #aloneShare = new Recent();

  constructor(options: PacerOptions = {}) {
    this.#costs = options.costs;
    this.#latencyFactor = options.latencyFactor ?? 2.2;
    this.#aloneStepMs = options.aloneStepMs ?? 1000;
    this.#mostBeside = options.mostBeside ?? Infinity;
    this.#mostAlone = options.mostAlone ?? Infinity;
  }

  /** A step took `ms`. */
  learn({ tokens, promptTokens }: StepWork, ms: number): void {
    if (!(ms >= 0)) return;
    if (promptTokens === 0) {
      const recent = this.#plain.get(tokens) ?? new Recent();
      this.#plain.set(tokens, recent);
      recent.add(ms);
    } else if (tokens === 0) {
      // A short rest of a prompt tells little of a full step.
      if (promptTokens < Math.max(least, this.#aloneBudget() / 2)) return;
      this.#aloneShare.add(ms / promptTokens);
      this.#alone.add(Math.max(ms - (this.#baseMs ?? 0), ms / 2) / promptTokens);
    } else {
      // Never next to nothing, though the steps that it is compared with may have been disturbed.
      const plain = this.stepMs(tokens);
      if (plain !== undefined) this.#beside.add(Math.max(ms - plain, ms / 4) / promptTokens);
    }
  }

  /** Most prompt tokens of a step that gives `tokens` to running answers; at least 1. */
  budget(tokens: number): number {
    return tokens > 0 ? this.#besideBudget(tokens) : this.#aloneBudget();
  }

  /** Milliseconds of a step of `tokens` without prompt tokens, 1 or more; undefined before anything is known. */
  stepMs(tokens: number): number | undefined {
    const measured = this.#plain.get(tokens)?.median;
    if (measured !== undefined) return measured;
    let nearest: number | undefined;
    for (const known of this.#plain.keys())
      if (nearest === undefined || Math.abs(known - tokens) < Math.abs(nearest - tokens)) nearest = known;
    const [from, ms] =
      nearest === undefined ? [1, this.#costs?.stepMs] : [nearest, this.#plain.get(nearest)!.median as number];
    // One more token of an answer costs about what one more of a prompt does; never less than a part of the step.
    return ms === undefined ? undefined : Math.max(ms + (tokens - from) * (this.promptTokenMs ?? 0), ms / 2);
  }

  /** Milliseconds that a prompt token adds to a step; undefined before anything is known. */
  get promptTokenMs(): number | undefined {
    return this.#alone.median ?? this.#costs?.promptTokenMs ?? this.#beside.median;
  }

  /** Milliseconds until `promptTokens` are computed beside answers that take `tokens` a step; undefined before anything is known. */
  prefillMs(promptTokens: number, tokens: number): number | undefined {
    const share = tokens > 0 ? undefined : this.#aloneShare.median;
    if (share !== undefined) return promptTokens * share;
    const budget = this.budget(tokens);
    const each = tokens > 0 ? this.#besideMs : this.promptTokenMs;
    const base = tokens > 0 ? this.stepMs(tokens) : this.#baseMs;
    if (each === undefined || base === undefined) return undefined;
    return promptTokens * each + Math.ceil(promptTokens / budget) * base;
  }

  /** What a step of 1 + k tokens takes over one of 1, by k; undefined before anything is known. */
  relativeCosts(most: number): number[] | undefined {
    const one = this.stepMs(1);
    if (!one || this.promptTokenMs === undefined) return undefined;
    return Array.from({ length: most + 1 }, (_, k) => Math.max(1, this.stepMs(1 + k)! / one));
  }

  /** What a step takes however few its tokens. */
  get #baseMs(): number | undefined {
    const [one, each] = [this.stepMs(1), this.#costs?.promptTokenMs ?? this.#beside.median];
    return one === undefined ? undefined : Math.max(0, one - (each ?? 0));
  }

  get #besideMs(): number | undefined {
    return this.#beside.median ?? this.promptTokenMs;
  }

  #besideBudget(tokens: number): number {
    const [step, each] = [this.stepMs(tokens), this.#besideMs];
    const known = step !== undefined && each !== undefined;
    const fits = known ? ((this.#latencyFactor - 1) * step) / Math.max(each, 1e-6) : firstBeside;
    return Math.max(1, Math.min(whole(fits), this.#mostBeside));
  }

  #aloneBudget(): number {
    const [share, each] = [this.#aloneShare.median, this.promptTokenMs];
    let fits = firstAlone;
    if (share !== undefined) fits = this.#aloneStepMs / Math.max(share, 1e-6);
    else if (each !== undefined) fits = (this.#aloneStepMs - (this.#baseMs ?? 0)) / Math.max(each, 1e-6);
    return Math.max(1, Math.min(whole(fits), this.#mostAlone));
  }
}

/** Whole tokens, never fewer than `least`; many in eights, as the native operators take rows. */
function whole(tokens: number): number {
  const grain = tokens >= 8 * least ? least : 1;
  return Math.max(least, Math.floor(Math.min(tokens, 2 ** 20) / grain) * grain);
}

/** The middle of the last few values: one that the machine was disturbed in says nothing. */
class Recent {
  readonly #values: number[] = [];
  #next = 0;
  #median: number | undefined;

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % recentValues;
    const sorted = [...this.#values].sort((a, b) => a - b);
    this.#median = sorted[sorted.length >> 1];
  }

  get median(): number | undefined {
    return this.#median;
  }
}

const recentValues = 9;
