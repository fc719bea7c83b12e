// What an engine counts, as plain data that can go to another thread. It never knows under which names it is shown.

/** Values by size. `counts[i]` is how many were at most `bounds[i]` and more than the bound before; the last one is the rest. */
export interface HistogramData {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > this.#bounds[at]!) at++;
    this.#counts[at]!++;
    this.#sum += value;
  }

  data(): HistogramData {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}

/** Why a request came to its end. "refused": it never waited; "expired": its deadline passed; "failed": the model or we did. */
export type RequestOutcome = "stop" | "length" | "cancelled" | "expired" | "refused" | "failed";

/** Everything since the model was loaded, except the figures of now. Times are seconds. */
export interface EngineMetrics {
  // Now.
  readonly running: number;
  readonly waiting: number;
  /** Positions of the cache that sequences hold, cached beginnings of ended ones included, and that there are. */
  readonly cacheTokensUsed: number;
  readonly cacheTokens: number;
  /** Of those used, positions that only ended sequences hold: they are given up when somebody needs them. */
  readonly cacheTokensIdle: number;
  // Counted.
  readonly steps: number;
  /** Prompt tokens that were computed, again after a sequence gave up its place. */
  readonly promptTokens: number;
  /** Prompt tokens of answers that got their first token, those found in the cache included. */
  readonly answeredPromptTokens: number;
  readonly generatedTokens: number;
  /** Prompt tokens that were looked up in what is cached, and that were found. */
  readonly prefixQueriedTokens: number;
  readonly prefixFoundTokens: number;
  /** Sequences that gave up their place for another one. */
  readonly preemptions: number;
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  /** Tokens of requests whose caller had left by the time they were computed. */
  readonly wastedTokens: number;
  readonly outcomes: Readonly<Record<RequestOutcome, number>>;
  // Spread.
  readonly queueSeconds: HistogramData;
  readonly prefillSeconds: HistogramData;
  readonly decodeSeconds: HistogramData;
  readonly timeToFirstTokenSeconds: HistogramData;
  /** Between two steps that gave an answer tokens, however many. */
  readonly interTokenSeconds: HistogramData;
  readonly requestSeconds: HistogramData;
  readonly requestPromptTokens: HistogramData;
  readonly requestGeneratedTokens: HistogramData;
  /** Tokens of a step. */
  readonly stepTokens: HistogramData;
}

/** Bounds of vLLM's histograms of the same meaning, so that dashboards made for them show ours. */
export const bounds = {
  timeToFirstToken: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
  ],
  interToken: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80],
  request: [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680],
  tokens: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000],
  stepTokens: [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384],
} as const;
