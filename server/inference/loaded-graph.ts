// A plain graph in use. Few runs go at a time, since each takes a thread of the pool that the whole process shares; the
// others wait in line.

import { Graph } from "../onnx/graph.ts";
import type { Runtime } from "../onnx/runtime.ts";
import { InferenceError, type Violation } from "./errors.ts";
import type { GraphInfo, GraphOptions, GraphOutput, GraphReport, GraphTensor } from "./types.ts";

/** libuv's pool has four threads; files and names need some, and so does the decoder. */
const places = 2;
const longestLine = 1024;

/** Whose turn it is to run. One for all graphs of a thread. */
export class RunPlaces {
  readonly #waiting = new Set<() => void>();
  #free = places;

  /** Runs `work` when it has a place. @throws InferenceError QUEUE_FULL, or the signal's reason */
  async use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      if (next) next();
      else this.#free++;
    }
  }

  /** Resolves with a place that somebody has passed on. */
  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= longestLine) {
      throw new InferenceError("QUEUE_FULL", `${longestLine} runs wait already. Try again later.`, {
        metadata: { queue_limit: `${longestLine}` },
      });
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(take);
        reject(signal.reason);
      };
      const take = () => {
        this.#waiting.delete(take);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(take);
    });
  }
}

export class LoadedGraph {
  readonly info: GraphInfo;
  readonly #graph: Graph;
  readonly #places: RunPlaces;

  private constructor(info: GraphInfo, graph: Graph, places: RunPlaces) {
    this.info = info;
    this.#graph = graph;
    this.#places = places;
  }

  /** The caller closes it. @throws InferenceError INVALID_OPTION, ModelFolderError */
  static async open(
    runtime: Runtime,
    places: RunPlaces,
    key: string,
    path: string,
    options: GraphOptions,
  ): Promise<LoadedGraph> {
    const started = performance.now();
    checkOptions(options);
    const graph = await Graph.open(runtime, path, options);
    const { inputs, outputs, warnings } = graph;
    return new LoadedGraph(
      { key, path, inputs, outputs, warnings, loadMs: performance.now() - started },
      graph,
      places,
    );
  }

  /** @throws GraphInputError, InferenceError QUEUE_FULL, or the signal's reason */
  run(feeds: readonly GraphTensor[], signal: AbortSignal): Promise<GraphOutput[]> {
    return this.#places.use(signal, () => this.#graph.run(feeds, signal));
  }

  close(): Promise<void> {
    return this.#graph.dispose();
  }
}

/** Opens a graph and keeps nothing of it. @throws ModelFolderError */
export async function inspectGraph(runtime: Runtime, path: string): Promise<GraphReport> {
  // Without optimizing: constants are not computed for somebody who may never run it.
  const graph = await Graph.open(runtime, path, { threads: 1, graphOptimization: 0 });
  const { inputs, outputs, warnings } = graph;
  await graph.dispose();
  return { inputs, outputs, warnings };
}

function checkOptions({ threads, interOpThreads }: GraphOptions): void {
  const violations = Object.entries({ threads, interOpThreads }).flatMap(([field, value]): Violation[] => {
    if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= 1024)) return [];
    return [{ field, description: `must be an integer from 0 to 1024; found ${value}.` }];
  });
  if (violations.length === 0) return;
  const list = violations.map(({ field, description }) => `${field} ${description}`).join(" ");
  throw new InferenceError("INVALID_OPTION", `The graph cannot be loaded so: ${list}`, { violations });
}
