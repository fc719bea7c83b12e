// The models in memory: who comes, who uses what, who leaves for others, and what health says about each. It must never
// know how a name becomes a model, nor what is done with one.
import type { Model } from "@modelwire/proto";
import type { GraphInfo, InferenceHost, ModelInfo, PackingProgress } from "../inference/host.ts";
import type { HealthService } from "../rpc/health.ts";
import { cacheTokensFor, leastBytes, type Occupant, whoLeaves } from "./memory-room.ts";
import type { ModelNeed } from "./model-need.ts";

export interface LifeOptions {
  /** Memory for all models together, their caches at their fullest included, in bytes; default no limit. */
  readonly memoryBytes?: number;
  /** Tokens of each model's cache; default what the memory leaves. */
  readonly cacheTokens?: number;
  /** A model that nobody used for so long leaves, in milliseconds; default never. */
  readonly keepAliveMs?: number;
}

/** What was loaded, and what it counts for. */
export type Opened = { readonly bytes: number } & (
  | { readonly kind: "llm"; readonly info: ModelInfo }
  | { readonly kind: "onnx"; readonly info: GraphInfo }
);

/** How a model comes into memory. */
export interface Opening {
  need(): Promise<ModelNeed>;
  /** @param cacheTokens undefined: as many as the runner thinks fit */
  open(
    need: ModelNeed,
    cacheTokens: number | undefined,
    onProgress: (progress: PackingProgress) => void,
  ): Promise<Opened>;
}

/** Why a model left: for another one, because nobody used it, because somebody said so, or with the worker. */
export type Leaving = "memory" | "idle" | "asked" | "worker";

/** A model in memory, or on its way in or out. */
export interface Resident extends Occupant {
  readonly state: "loading" | "ready" | "leaving";
  readonly lastUsedAt: Date;
  /** Once it is loaded. */
  readonly opened: Opened | undefined;
}

/** Everything since the start, and how it is now. */
export interface LifeFigures {
  readonly residents: readonly Resident[];
  /** Infinity for no limit. */
  readonly limitBytes: number;
  readonly loads: number;
  readonly failedLoads: number;
  readonly left: Readonly<Record<Leaving, number>>;
}

interface Held {
  readonly modelId: string;
  readonly name: string;
  readonly uri: string;
  readonly watchers: Set<(progress: PackingProgress) => void>;
  state: Resident["state"];
  bytes: number;
  users: number;
  lastUse: number;
  lastUsedAt: Date;
  opened: Opened | undefined;
  /** Told to whoever waits. */
  loading: Promise<Opened>;
  /** Once it is on its way out. */
  gone: Promise<void> | undefined;
  /** Set while somebody waits for its last user to go. */
  unused: (() => void) | undefined;
  idle: NodeJS.Timeout | undefined;
}

export class ModelLife {
  readonly #host: InferenceHost;
  readonly #health: HealthService;
  readonly #options: LifeOptions;
  readonly #limitBytes: number;
  readonly #held = new Map<string, Held>();
  readonly #kept = new Set<string>();
  readonly #left: Record<Leaving, number> = { memory: 0, idle: 0, asked: 0, worker: 0 };
  #loads = 0;
  #failedLoads = 0;
  #uses = 0;
  /** Who comes waits until it is settled who came before: two that come at once must not take the same room. */
  #settled: Promise<unknown> = Promise.resolve();

  constructor(host: InferenceHost, health: HealthService, options: LifeOptions = {}) {
    this.#host = host;
    this.#health = health;
    this.#options = options;
    this.#limitBytes = options.memoryBytes ?? Infinity;
    host.onWorkerEnd(() => {
      // Those that are being loaded hear it from their own loading.
      for (const held of this.#held.values()) if (held.state === "ready") this.#remove(held, "worker");
    });
  }

  /**
   * The model in memory, loaded if it is not there. It is in use until `signal` aborts, as a call's does at the latest when
   * the call has ended: meanwhile it gives way to nobody.
   * @param onProgress told how far the packing of its weights is, if this has it loaded or waits for it
   * @throws ApiError MODEL_MEMORY_FULL; what `opening` throws; the signal's reason
   */
  async hold(
    model: Model,
    opening: Opening,
    signal: AbortSignal,
    onProgress?: (progress: PackingProgress) => void,
  ): Promise<Opened> {
    signal.throwIfAborted();
    const found = this.#held.get(model.modelId);
    if (found?.gone) {
      await abortable(found.gone, signal);
      return this.hold(model, opening, signal, onProgress);
    }
    const held = found ?? this.#enter(model, opening);
    this.#use(held, signal);
    if (held.opened) return held.opened;
    if (onProgress) held.watchers.add(onProgress);
    try {
      return await abortable(held.loading, signal);
    } finally {
      if (onProgress) held.watchers.delete(onProgress);
    }
  }

  /** From now on a model gives way to no other and is not too long idle. */
  keep(modelId: string): void {
    this.#kept.add(modelId);
  }

  /** Frees a model's memory when its last call has ended; no error when it is not there. */
  async unload(modelId: string): Promise<void> {
    const held = this.#held.get(modelId);
    await held?.loading.catch(() => undefined);
    if (held && this.#held.get(modelId) === held) await this.#leave(held, "asked");
  }

  /** A model that is loaded. */
  get(modelId: string): Resident | undefined {
    const held = this.#held.get(modelId);
    return held && this.#resident(held);
  }

  figures(): LifeFigures {
    return {
      residents: [...this.#held.values()].map((held) => this.#resident(held)),
      limitBytes: this.#limitBytes,
      loads: this.#loads,
      failedLoads: this.#failedLoads,
      left: { ...this.#left },
    };
  }

  #resident(held: Held): Resident {
    const { modelId, name, bytes, users, state, lastUse, lastUsedAt, opened } = held;
    const kept = this.#kept.has(modelId);
    return { modelId, name, bytes, users, kept, ready: state === "ready", lastUse, state, lastUsedAt, opened };
  }

  #enter({ modelId, name, modelUri: uri }: Model, opening: Opening): Held {
    const still: Omit<Held, "loading"> = {
      ...{ modelId, name, uri, watchers: new Set(), state: "loading", bytes: 0, users: 0, lastUse: 0 },
      ...{ lastUsedAt: new Date(), opened: undefined, gone: undefined, unused: undefined, idle: undefined },
    };
    const held = still as Held;
    this.#held.set(modelId, held);
    this.#health.set(uri, "NOT_SERVING");
    held.loading = this.#load(held, opening);
    // Whoever waits hears of a failure; when all have left, nobody does.
    held.loading.catch(() => undefined);
    return held;
  }

  async #load(held: Held, opening: Opening): Promise<Opened> {
    try {
      const need = await opening.need();
      const cacheTokens = await this.#makeRoom(held, need);
      held.opened = await opening.open(need, cacheTokens, (progress) => {
        for (const watcher of held.watchers) watcher(progress);
      });
      held.bytes = held.opened.bytes;
    } catch (error) {
      this.#failedLoads += 1;
      this.#held.delete(held.modelId);
      throw error;
    }
    this.#loads += 1;
    held.state = "ready";
    this.#health.set(held.uri, "SERVING");
    this.#restIfUnused(held);
    return held.opened;
  }

  /**
   * Reserves memory, and has others leave for it.
   * @returns the cache's size in tokens; undefined where nothing limits it
   */
  async #makeRoom(held: Held, need: ModelNeed): Promise<number | undefined> {
    const asked = this.#options.cacheTokens;
    if (this.#limitBytes === Infinity) return asked;
    const settle = async () => {
      const others = () => [...this.#held.values()].filter((other) => other !== held);
      const occupants = others().map((other) => ({ ...this.#resident(other), held: other }));
      const least = leastBytes(need, asked);
      // Somebody may have come for it while another one left.
      for (const { held: other } of whoLeaves(held.name, least, this.#limitBytes, occupants))
        if (other.users === 0 && other.state === "ready") await this.#leave(other, "memory");
      const free = this.#limitBytes - others().reduce((sum, { bytes }) => sum + bytes, 0);
      if (free < least) return settle();
      // Other programs may have taken memory that the limit counts on.
      const there = Math.max(least, Math.min(free, process.availableMemory()));
      const cacheTokens = need.bytesPerToken === 0 ? undefined : (asked ?? cacheTokensFor(need, there));
      held.bytes = leastBytes(need, cacheTokens ?? 0);
      return cacheTokens;
    };
    const settled = this.#settled.then(settle);
    this.#settled = settled.catch(() => undefined);
    return settled;
  }

  #use(held: Held, signal: AbortSignal): void {
    held.users += 1;
    this.#touch(held);
    clearTimeout(held.idle);
    const release = () => {
      held.users -= 1;
      this.#touch(held);
      if (held.users > 0) return;
      held.unused?.();
      this.#restIfUnused(held);
    };
    signal.addEventListener("abort", release, { once: true });
  }

  #touch(held: Held): void {
    held.lastUse = this.#uses;
    held.lastUsedAt = new Date();
    this.#uses += 1;
  }

  /** It leaves when nobody comes for it in time. */
  #restIfUnused(held: Held): void {
    const { keepAliveMs = Infinity } = this.#options;
    if (keepAliveMs === Infinity || held.state !== "ready" || held.users > 0 || this.#kept.has(held.modelId)) return;
    clearTimeout(held.idle);
    held.idle = setTimeout(() => void this.#leave(held, "idle"), keepAliveMs).unref();
  }

  /** Takes no new users, waits for those that there are, and frees it. */
  #leave(held: Held, why: Leaving): Promise<void> {
    if (held.gone) return held.gone;
    held.state = "leaving";
    clearTimeout(held.idle);
    this.#health.set(held.uri, "NOT_SERVING");
    held.gone = (async () => {
      if (held.users > 0) await new Promise<void>((resolve) => (held.unused = resolve));
      // A worker that ended has freed it.
      await this.#host.unload(held.modelId).catch(() => undefined);
      this.#remove(held, why);
    })();
    return held.gone;
  }

  #remove(held: Held, why: Leaving): void {
    held.state = "leaving";
    clearTimeout(held.idle);
    this.#left[why] += 1;
    this.#health.set(held.uri, "NOT_SERVING");
    if (this.#held.get(held.modelId) === held) this.#held.delete(held.modelId);
  }
}

/** The promise, or the signal's reason if that comes first. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let leave = () => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
