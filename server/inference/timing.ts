// Where the time and the steps of one request went, added up from the events of all its answers.

import type { SequenceWork, TokenEvent } from "../decoder/sequence.ts";
import type { Timings } from "./types.ts";

export class Timing {
  #started: number | undefined;
  #first: number | undefined;
  #last = 0;
  #answers = 0;
  #work: SequenceWork = { steps: 0, drafted: 0, accepted: 0 };

  see(event: TokenEvent): void {
    if (event.type === "start") {
      this.#answers++;
      this.#started ??= event.timeMs;
      return;
    }
    this.#first ??= event.timeMs;
    this.#last = Math.max(this.#last, event.timeMs);
    if (event.type === "finish" && event.work) this.add(event.work);
  }

  /** What an answer took that was given up before its end. */
  add({ steps, drafted, accepted }: SequenceWork): void {
    const sum = this.#work;
    this.#work = { steps: sum.steps + steps, drafted: sum.drafted + drafted, accepted: sum.accepted + accepted };
  }

  /** @param tokens of all answers */
  timings(tokens: number): Timings {
    const queueMs = this.#started ?? 0;
    const timeToFirstTokenMs = this.#first ?? queueMs;
    const generationMs = Math.max(0, this.#last - timeToFirstTokenMs);
    const later = tokens - this.#answers;
    const { steps, drafted, accepted } = this.#work;
    return {
      ...{ queueMs, promptMs: timeToFirstTokenMs - queueMs, timeToFirstTokenMs, generationMs },
      tokensPerSecond: generationMs > 0 && later > 0 ? (later * 1000) / generationMs : 0,
      ...{ steps, draftedTokens: drafted, acceptedTokens: accepted },
    };
  }
}
