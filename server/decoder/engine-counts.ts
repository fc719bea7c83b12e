// What an engine has done since it was opened, for dashboards. It only counts; it decides nothing.

import { bounds, type EngineMetrics, Histogram, type RequestOutcome } from "./metrics.ts";
import type { PlanEntry } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

export class EngineCounts {
  #steps = 0;
  #promptTokens = 0;
  #answeredPromptTokens = 0;
  #generatedTokens = 0;
  #prefixQueriedTokens = 0;
  #prefixFoundTokens = 0;
  #preemptions = 0;
  #draftedTokens = 0;
  #acceptedTokens = 0;
  #wastedTokens = 0;
  readonly #outcomes: Record<RequestOutcome, number> = {
    stop: 0,
    length: 0,
    cancelled: 0,
    expired: 0,
    refused: 0,
    failed: 0,
  };
  readonly #queue = new Histogram(bounds.request);
  readonly #prefill = new Histogram(bounds.request);
  readonly #decode = new Histogram(bounds.request);
  readonly #timeToFirstToken = new Histogram(bounds.timeToFirstToken);
  readonly #interToken = new Histogram(bounds.interToken);
  readonly #request = new Histogram(bounds.request);
  readonly #requestPromptTokens = new Histogram(bounds.tokens);
  readonly #requestGeneratedTokens = new Histogram(bounds.tokens);
  readonly #stepTokens = new Histogram(bounds.stepTokens);
  #answers = 0;
  #answerTokens = 0;

  /** Tokens of an answer, of those that have ended by themselves; undefined when there is none. */
  get meanAnswer(): number | undefined {
    return this.#answers > 0 ? this.#answerTokens / this.#answers : undefined;
  }

  refused(): void {
    this.#outcomes.refused++;
  }

  /** The first step of a sequence has been planned. @param looksUp whether a beginning was looked for in the cache */
  started(sequence: Sequence, nowMs: number, looksUp: boolean): void {
    sequence.startedAtMs = nowMs;
    this.#queue.observe((nowMs - sequence.standing.askedAtMs) / 1000);
    if (!looksUp) return;
    this.#prefixQueriedTokens += sequence.promptLength;
    this.#prefixFoundTokens += sequence.cached;
  }

  preempted(): void {
    this.#preemptions++;
  }

  /** A step was run; nothing of it is in the sequences yet. */
  step(plan: readonly PlanEntry<Sequence>[]): void {
    this.#steps++;
    let tokens = 0;
    for (const { sequence, count, draft } of plan) {
      tokens += count + draft.length;
      if (sequence.pending > 1 || sequence.generated === 0) this.#promptTokens += count;
      if (sequence.cancelled) this.#wastedTokens += count + draft.length;
    }
    this.#stepTokens.observe(tokens);
  }

  /** A sequence got `tokens` new ones. */
  generated(sequence: Sequence, tokens: number, nowMs: number): void {
    this.#generatedTokens += tokens;
    if (tokens === 0) return;
    if (Number.isNaN(sequence.firstTokenAtMs)) {
      sequence.firstTokenAtMs = nowMs;
      this.#answeredPromptTokens += sequence.promptLength;
      this.#prefill.observe((nowMs - sequence.startedAtMs) / 1000);
      this.#timeToFirstToken.observe((nowMs - sequence.standing.askedAtMs) / 1000);
    } else {
      this.#interToken.observe((nowMs - sequence.lastTokenAtMs) / 1000);
    }
    sequence.lastTokenAtMs = nowMs;
  }

  ended(sequence: Sequence, outcome: RequestOutcome, nowMs: number): void {
    this.#outcomes[outcome]++;
    this.#draftedTokens += sequence.work.drafted;
    this.#acceptedTokens += sequence.work.accepted;
    if (!Number.isNaN(sequence.firstTokenAtMs))
      this.#decode.observe((sequence.lastTokenAtMs - sequence.firstTokenAtMs) / 1000);
    this.#request.observe((nowMs - sequence.standing.askedAtMs) / 1000);
    this.#requestPromptTokens.observe(sequence.promptLength);
    this.#requestGeneratedTokens.observe(sequence.generated);
    if (outcome !== "stop" && outcome !== "length") return;
    this.#answers++;
    this.#answerTokens += sequence.generated;
  }

  metrics(
    now: Pick<EngineMetrics, "running" | "waiting" | "cacheTokensUsed" | "cacheTokens" | "cacheTokensIdle">,
  ): EngineMetrics {
    return {
      ...now,
      steps: this.#steps,
      promptTokens: this.#promptTokens,
      answeredPromptTokens: this.#answeredPromptTokens,
      generatedTokens: this.#generatedTokens,
      prefixQueriedTokens: this.#prefixQueriedTokens,
      prefixFoundTokens: this.#prefixFoundTokens,
      preemptions: this.#preemptions,
      draftedTokens: this.#draftedTokens,
      acceptedTokens: this.#acceptedTokens,
      wastedTokens: this.#wastedTokens,
      outcomes: { ...this.#outcomes },
      queueSeconds: this.#queue.data(),
      prefillSeconds: this.#prefill.data(),
      decodeSeconds: this.#decode.data(),
      timeToFirstTokenSeconds: this.#timeToFirstToken.data(),
      interTokenSeconds: this.#interToken.data(),
      requestSeconds: this.#request.data(),
      requestPromptTokens: this.#requestPromptTokens.data(),
      requestGeneratedTokens: this.#requestGeneratedTokens.data(),
      stepTokens: this.#stepTokens.data(),
    };
  }
}
