// What models take, come and go, and how the inference thread is. It must never know how a model is chosen to leave.
import type { HostStats } from "../inference/types.ts";
import type { Point, Series } from "./series.ts";

/** A model in memory, or on its way in or out. */
export interface ModelFigures {
  readonly modelId: string;
  readonly name: string;
  readonly state: "loading" | "ready" | "leaving";
  /** What is reserved for it. */
  readonly bytes: number;
  /** Calls that use it, or wait for it. */
  readonly users: number;
  readonly lastUsedAt: Date;
  /** Once it is loaded. */
  readonly opened:
    | {
        readonly info: { readonly loadMs: number; readonly reproducible?: boolean; readonly runner?: { kind: string } };
      }
    | undefined;
}

export interface MemoryFigures {
  readonly residents: readonly ModelFigures[];
  /** Infinity for no limit. */
  readonly limitBytes: number;
  readonly loads: number;
  readonly failedLoads: number;
  /** By reason. */
  readonly left: Readonly<Record<string, number>>;
}

export interface ModelSnapshot {
  readonly memory: MemoryFigures;
  readonly host: HostStats;
  /** How old what the inference thread told is. */
  readonly ageMs: number;
}

const alone = (value: number): Point[] => [{ labels: {}, value }];

function each(
  name: string,
  help: string,
  read: (model: ModelFigures) => readonly Point[] | number | undefined,
): Series<ModelSnapshot> {
  return {
    ...{ name, help, type: "gauge" },
    read: ({ memory }) =>
      memory.residents.flatMap((model) => {
        const found = read(model) ?? [];
        const points = typeof found === "number" ? alone(found) : found;
        const own = { model_name: model.name, model_id: model.modelId };
        return points.map(({ labels, value }) => ({ labels: { ...own, ...labels }, value }));
      }),
  };
}

function total(
  name: string,
  type: "counter" | "gauge",
  help: string,
  read: (snapshot: ModelSnapshot) => number,
): Series<ModelSnapshot> {
  return { ...{ name, type, help }, read: (snapshot) => alone(read(snapshot)) };
}

export const modelSeries: readonly Series<ModelSnapshot>[] = [
  {
    ...{ name: "modelwire_models", type: "gauge", help: "Models in memory, by how far they are." },
    read: ({ memory }) =>
      (["loading", "ready", "leaving"] as const).map((state) => {
        return { labels: { state }, value: memory.residents.filter((model) => model.state === state).length };
      }),
  },
  total(
    "modelwire_model_memory_limit_bytes",
    "gauge",
    "Memory that models may take together; +Inf for no limit.",
    (s) => s.memory.limitBytes,
  ),
  each(
    "modelwire_model_memory_bytes",
    "Memory that is reserved for a model, its cache at its fullest included.",
    (m) => m.bytes,
  ),
  each("modelwire_model_users", "Calls that use a model, or wait for it to be loaded.", (m) => m.users),
  each(
    "modelwire_model_last_used_timestamp_seconds",
    "When a model was last asked, in seconds since 1970.",
    (m) => m.lastUsedAt.getTime() / 1000,
  ),
  each(
    "modelwire_model_load_seconds",
    "How long loading a model took.",
    (m) => m.opened && m.opened.info.loadMs / 1000,
  ),
  each(
    "modelwire_model_reproducible",
    "1 where a trial found that an answer does not depend on what is computed beside it, else 0.",
    (m) => {
      const reproducible = m.opened?.info.reproducible;
      return reproducible === undefined ? undefined : Number(reproducible);
    },
  ),
  each("modelwire_model_runner", "1 for the runner that computes a decoder's steps.", (m) => {
    const runner = m.opened?.info.runner?.kind;
    return runner === undefined ? undefined : [{ labels: { runner }, value: 1 }];
  }),
  total("modelwire_model_loads_total", "counter", "Models that were loaded.", (s) => s.memory.loads),
  total(
    "modelwire_model_load_failures_total",
    "counter",
    "Models that could not be loaded.",
    (s) => s.memory.failedLoads,
  ),
  {
    name: "modelwire_model_unloads_total",
    type: "counter",
    help: "Models that left memory: for another one (memory), unused for too long (idle), told to (asked), or with the inference thread (worker).",
    read: ({ memory }) => Object.entries(memory.left).map(([reason, value]) => ({ labels: { reason }, value })),
  },
  {
    ...{ name: "modelwire_graph_runs", type: "gauge", help: "Runs of plain ONNX graphs, those that wait included." },
    read: ({ host, memory }) =>
      host.graphs.map(({ key, running }) => {
        const model_name = memory.residents.find(({ modelId }) => modelId === key)?.name ?? "";
        return { labels: { model_name, model_id: key }, value: running };
      }),
  },
  total("modelwire_worker_running", "gauge", "1 while the inference thread runs.", (s) => Number(s.host.workerRunning)),
  total(
    "modelwire_worker_figures_age_seconds",
    "gauge",
    "How old what the inference thread told is: it tells nothing while it loads a model.",
    (s) => s.ageMs / 1000,
  ),
];
