// What must hold between any two steps of an engine. Pure: a snapshot in, every violation out.

import type { CacheRoom } from "../onnx/model-runner.ts";
import type { SequenceStatus } from "./sequence.ts";

export interface EngineSnapshot {
  readonly maxSequences: number;
  readonly queueLimit: number;
  readonly contextLength: number;
  readonly windowTokens: number;
  readonly room: CacheRoom;
  readonly queued: readonly SequenceSnapshot[];
  readonly running: readonly SequenceSnapshot[];
  readonly residents: readonly ResidentSnapshot[];
  /** As the runner counts; absent where it does not tell. */
  readonly runner?: RunnerSnapshot;
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

/** A place in the cache that no sequence owns. */
export interface ResidentSnapshot {
  readonly place: number;
  readonly length: number;
}

export interface RunnerSnapshot {
  /** Places that are not taken, and that there are. */
  readonly freePlaces: number;
  readonly places: number;
  /** Blocks that at least one place holds, one by one. */
  readonly heldBlocks: number;
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
  const mostParked = engine.queueLimit + engine.maxSequences;
  must(parked <= mostParked, `${parked} gave up a place, the limit is ${mostParked}`);
  must(new Set(all.map((s) => s.id)).size === all.length, "a sequence is listed twice");
  const places = [...engine.running, ...engine.residents].map((s) => s.place).filter((place) => place !== undefined);
  must(new Set(places).size === places.length, "two sequences share a place");
  const { blocks, free, blockTokens } = engine.room;
  must(free >= 0 && free <= blocks, `${free} of ${blocks} blocks are free`);
  // Shared blocks count once, so those that one place holds are the least.
  const least = [...engine.running.map((s) => s.cached), ...engine.residents.map((r) => r.length)];
  for (const length of least)
    must(Math.ceil(length / blockTokens) <= blocks - free, `${length} tokens are in ${blocks - free} blocks`);
  if (engine.runner) {
    const { freePlaces, places: allPlaces, heldBlocks } = engine.runner;
    const sum = freePlaces + places.length;
    must(sum === allPlaces, `${freePlaces} free + ${places.length} owned ≠ ${allPlaces} places`);
    must(free + heldBlocks === blocks, `${free} free + ${heldBlocks} held ≠ ${blocks} blocks`);
  }
  for (const s of engine.queued) {
    must(s.status === "queued", `queued sequence ${s.id} is ${s.status}`);
    must(s.place === undefined && s.cached === 0, `queued sequence ${s.id} holds part of the cache`);
    must(s.length === (s.recompute || s.promptLength), `queued sequence ${s.id} has generated tokens`);
  }
  for (const s of engine.running) {
    must(s.status === "running", `running sequence ${s.id} is ${s.status}`);
    must(s.place !== undefined || s.cached === 0, `sequence ${s.id} has no place for what it has in the cache`);
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
