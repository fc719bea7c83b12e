// What must hold between any two steps of an engine. Pure: a snapshot in, every violation out.

import type { SequenceStatus } from "./sequence.ts";

export interface EngineSnapshot {
  readonly maxSequences: number;
  readonly queueLimit: number;
  readonly contextLength: number;
  readonly windowTokens: number;
  readonly queued: readonly SequenceSnapshot[];
  readonly running: readonly SequenceSnapshot[];
  /** Places of the runner that are not taken, as the runner counts them; absent where it does not tell. */
  readonly freePlaces?: number;
}

export interface SequenceSnapshot {
  readonly id: number;
  readonly status: SequenceStatus;
  readonly place: number | undefined;
  readonly promptLength: number;
  readonly length: number;
  readonly cached: number;
  /** Its length when it last gave up its place; 0 if it never did. */
  readonly recompute: number;
  readonly maxTokens: number;
  readonly unread: number;
}

export function violations(engine: EngineSnapshot): string[] {
  const found: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) found.push(what);
  };
  const all = [...engine.queued, ...engine.running];
  must(
    engine.running.length <= engine.maxSequences,
    `${engine.running.length} run, ${engine.maxSequences} places exist`,
  );
  const fresh = engine.queued.filter((s) => s.recompute === 0).length;
  must(fresh <= engine.queueLimit, `${fresh} wait, the limit is ${engine.queueLimit}`);
  const parked = engine.queued.length - fresh;
  must(parked <= engine.queueLimit, `${parked} gave up a place, the limit is ${engine.queueLimit}`);
  must(new Set(all.map((s) => s.id)).size === all.length, "a sequence is listed twice");
  const places = engine.running.map((s) => s.place);
  must(new Set(places).size === places.length, "two sequences share a place");
  if (engine.freePlaces !== undefined) {
    const sum = engine.freePlaces + engine.running.length;
    must(
      sum === engine.maxSequences,
      `${engine.freePlaces} free + ${engine.running.length} owned ≠ ${engine.maxSequences} places`,
    );
  }
  for (const s of engine.queued) {
    must(s.status === "queued", `queued sequence ${s.id} is ${s.status}`);
    must(s.place === undefined && s.cached === 0, `queued sequence ${s.id} holds part of the cache`);
    must(s.length === (s.recompute || s.promptLength), `queued sequence ${s.id} has generated tokens`);
  }
  for (const s of engine.running) {
    must(s.status === "running", `running sequence ${s.id} is ${s.status}`);
    must(s.place !== undefined, `running sequence ${s.id} has no place`);
    must(s.cached < s.length, `sequence ${s.id} has nothing left to compute`);
    must(
      s.length === (s.recompute || s.promptLength) || s.cached === s.length - 1,
      `sequence ${s.id} decodes with ${s.length - s.cached} tokens unseen`,
    );
    must(s.length <= s.promptLength + s.maxTokens, `sequence ${s.id} is longer than asked for`);
    must(s.length <= engine.contextLength, `sequence ${s.id} is longer than the context`);
    // start, the tokens of the window and finish
    must(s.unread <= engine.windowTokens + 1, `sequence ${s.id} holds ${s.unread} unread events`);
  }
  return found;
}
