// Who is let in. A request becomes a sequence, or is refused before anything is spent on it: it makes no sense, it does not
// fit, too many wait, or its first token could not come in time.

import type { ModelSpec } from "../onnx/model-runner.ts";
import type { CacheSpace } from "./cache-space.ts";
import { DeadlineExpiredError, DeadlineUnreachableError, QueueFullError } from "./errors.ts";
import { firstTokenMs, type Load, placeMs } from "./forecast.ts";
import type { Lineup } from "./lineup.ts";
import type { Pacer } from "./pacer.ts";
import { checkRequest, type GenerateInput } from "./request.ts";
import { type FinishReason, Sequence } from "./sequence.ts";

export interface AdmissionOptions {
  readonly queueLimit: number;
  /** Sequences that are computed at a time. */
  readonly maxRunning: number;
  /** Its reader is behind: nobody waits for it. */
  isPaused(sequence: Sequence): boolean;
}

/** Milliseconds for which measured times are believed without new ones. */
const believedMs = 60_000;

export class Admission {
  readonly #spec: ModelSpec;
  readonly #space: CacheSpace;
  readonly #lineup: Lineup;
  readonly #pacer: Pacer;
  readonly #options: AdmissionOptions;
  /** When steps were last measured. */
  #measuredAtMs: number;
  #nextId = 0;

  constructor(
    spec: ModelSpec,
    space: CacheSpace,
    lineup: Lineup,
    pacer: Pacer,
    options: AdmissionOptions,
    nowMs: number,
  ) {
    this.#spec = spec;
    this.#space = space;
    this.#lineup = lineup;
    this.#pacer = pacer;
    this.#options = options;
    this.#measuredAtMs = nowMs;
  }

  /** A step has been measured. */
  measured(nowMs: number): void {
    this.#measuredAtMs = nowMs;
  }

  /**
   * @param meanAnswer tokens of an answer, as they were of late
   * @returns a sequence that waits for its turn
   * @throws InvalidRequestError, ContextOverflowError, CacheTooSmallError, QueueFullError, DeadlineExpiredError,
   *   DeadlineUnreachableError
   */
  admit(input: GenerateInput, nowMs: number, meanAnswer: number | undefined): Sequence {
    const { prompt, maxTokens } = checkRequest(input, this.#spec, this.#space.tokens);
    const options = { ...input.options, maxTokens };
    const sequence = new Sequence(this.#nextId++, prompt, options, {
      arrivedAtMs: nowMs,
      askedAtMs: input.askedAtMs ?? nowMs,
      scope: input.cacheScope ?? Symbol("its own"),
      leavesCache: input.cacheScope !== undefined,
      caller: input.caller ?? "",
      priority: input.priority ?? 0,
      deadlineMs: input.deadlineMs ?? Infinity,
      constraint: input.constraint,
      endings: endingsOf(input, this.#spec.eosIds),
    });
    this.#refuseWhatMustFail(sequence, nowMs, meanAnswer);
    this.#lineup.add(sequence);
    return sequence;
  }

  #refuseWhatMustFail({ tokens, standing }: Sequence, nowMs: number, meanAnswer: number | undefined): void {
    const load = this.#load();
    // Who ends lets one in that waits, and so makes room for one that does.
    if (this.#lineup.full) {
      const ending = placeMs({ ...load, waiting: [] }, meanAnswer, this.#pacer);
      throw new QueueFullError(this.#options.queueLimit, pause(ending));
    }
    if (standing.deadlineMs === Infinity) return;
    const remaining = standing.deadlineMs - nowMs;
    if (remaining <= 0) throw new DeadlineExpiredError(0);
    // What the machine was like long ago says little: who has nobody ahead is let in, and shows what it is like now.
    if (load.running.length + load.waiting.length === 0 && nowMs - this.#measuredAtMs > believedMs) return;
    const known = this.#space.known(tokens, standing.scope, this.#lineup.running);
    const estimate = firstTokenMs(tokens.length - known, load, meanAnswer, this.#pacer);
    if (estimate !== undefined && estimate > remaining)
      throw new DeadlineUnreachableError(estimate, remaining, pause(estimate - remaining));
  }

  #load(): Load {
    const ahead = (list: readonly Sequence[]) =>
      list
        .filter((sequence) => !sequence.cancelled && !this.#options.isPaused(sequence))
        .map(({ pending, remaining }) => ({ promptTokens: pending, answerTokens: remaining }));
    const { running, waiting } = this.#lineup;
    return { places: this.#options.maxRunning, running: ahead(running), waiting: ahead(waiting) };
  }
}

function endingsOf({ options, constraint }: GenerateInput, eosIds: readonly number[]): Map<number, FinishReason> {
  const endings = new Map<number, FinishReason>();
  for (const id of options.stopTokenIds ?? []) endings.set(id, "stop");
  // What is constrained ends where the constraint lets it: it knows no ending token as one like any other.
  if (!options.ignoreEos || constraint) for (const id of eosIds) endings.set(id, "eos");
  return endings;
}

/** Milliseconds after which it may be tried again: soon enough to notice, late enough not to be in the way. */
function pause(ms: number | undefined): number {
  return Math.round(Math.min(60_000, Math.max(100, ms ?? 1000)));
}
