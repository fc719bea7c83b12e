// Who is next: urgency, which rises with waiting, then the caller that has been served least, then who came first. It
// counts tokens per caller and knows no cache, no runner and no clock.
//
// Each caller has a count of what it was given; one that comes back counts from what the least served has by then, so that
// nobody saves up (Goyal, Vin, Cheng, "Start-time Fair Queueing", 1996; for tokens: Sheng and others, "Fairness in Serving
// Large Language Models", 2024).

/** What is asked about a sequence. Smaller ids came first. */
export interface Claim {
  readonly id: number;
  readonly caller: string;
  readonly priority: number;
  readonly arrivedAtMs: number;
}

interface Account {
  /** Sequences that wait or run. */
  members: number;
  /** Tokens that it was given, counted as said above. */
  served: number;
  /** By priority, when one of its sequences got a place last. */
  readonly placedAtMs: Map<number, number>;
}

export class FairShare {
  readonly #accounts = new Map<string, Account>();
  readonly #agingMs: number;
  #least = 0;

  /** @param agingMs waiting so long is worth one step of priority */
  constructor(agingMs: number) {
    this.#agingMs = agingMs;
  }

  /** A sequence of `caller` begins to wait. */
  join(caller: string): void {
    this.#raiseLeast();
    const account = this.#accounts.get(caller) ?? { members: 0, served: 0, placedAtMs: new Map() };
    this.#accounts.set(caller, account);
    if (account.members++ === 0) account.served = Math.max(account.served, this.#least);
  }

  /** One has ended. */
  leave(caller: string): void {
    this.#raiseLeast();
    this.#accounts.get(caller)!.members--;
    // What nobody can tell from a caller that was never seen is forgotten.
    for (const [name, { members, served }] of this.#accounts)
      if (members === 0 && served <= this.#least) this.#accounts.delete(name);
  }

  /** @returns the count of the caller before, by which prompts are ordered */
  charge(caller: string, tokens: number): number {
    const account = this.#accounts.get(caller)!;
    account.served += tokens;
    return account.served - tokens;
  }

  /** A sequence got a place. */
  placed({ caller, priority }: Claim, nowMs: number): void {
    this.#accounts.get(caller)!.placedAtMs.set(priority, nowMs);
  }

  /** The one of those that wait whose turn it is: none is passed over for ever. */
  next<C extends Claim>(waiting: readonly C[], nowMs: number): C | undefined {
    let best: { claim: C; level: number; served: number } | undefined;
    for (const claim of waiting) {
      const { served, placedAtMs } = this.#accounts.get(claim.caller)!;
      // Of a caller with many requests all but one wait for its own: that makes none of them urgent.
      const since = Math.max(claim.arrivedAtMs, placedAtMs.get(claim.priority) ?? -Infinity);
      const level = this.#level(claim.priority, since, nowMs);
      const order = best ? best.level - level || served - best.served || claim.id - best.claim.id : -1;
      if (order < 0) best = { claim, level, served };
    }
    return best?.claim;
  }

  /** The urgency of one that has a place: its priority, raised by all its time. */
  urgency({ priority, arrivedAtMs }: Claim, nowMs: number): number {
    return this.#level(priority, arrivedAtMs, nowMs);
  }

  #level(priority: number, sinceMs: number, nowMs: number): number {
    return priority + Math.floor(Math.max(0, nowMs - sinceMs) / this.#agingMs);
  }

  /** What the least served of those that wait or run has; never less than before. */
  #raiseLeast(): void {
    let least = Infinity;
    let most = this.#least;
    for (const { members, served } of this.#accounts.values()) {
      if (members > 0) least = Math.min(least, served);
      most = Math.max(most, served);
    }
    // When nobody is left all begin anew.
    this.#least = Math.max(this.#least, least === Infinity ? most : least);
  }
}
