// Everything that is measured, in one place to scrape: calls, models, decoders, the process. It must never hold up anybody:
// what others tell is asked for when it is scraped, and what they do not tell in time is told as it was.
import { collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import type { HostStats } from "../inference/types.ts";
import type { CallWatcher } from "../rpc/call-watcher.ts";
import { callMetrics } from "./call-metrics.ts";
import { type EngineSnapshot, engineSeries } from "./engine-series.ts";
import { type MemoryFigures, type ModelSnapshot, modelSeries } from "./model-series.ts";
import { type Series, samplesOf } from "./series.ts";

/** Whom to ask at a scrape. */
export interface MetricsSources {
  /** What the inference thread tells, or told last. */
  host(): Promise<{ readonly value: HostStats; readonly ageMs: number }>;
  memory(): MemoryFigures;
}

type Snapshot = EngineSnapshot & ModelSnapshot;

export class Metrics {
  /** Counts calls. */
  readonly watcher: CallWatcher;
  readonly #registry = new Registry();
  #sources: MetricsSources | undefined;
  /** Of the scrape that is being answered: all of its series tell of the same moment. */
  #snapshot: Snapshot | undefined;
  #scraping: Promise<string> | undefined;

  /** @param version of the service */
  constructor(version: string) {
    this.watcher = callMetrics(this.#registry);
    new Gauge({
      ...{ name: "modelwire_build_info", help: "1, with the versions of the service and of Node.js." },
      ...{ labelNames: ["version", "node"], registers: [this.#registry] },
    }).set({ version, node: process.version }, 1);
    for (const series of [...modelSeries, ...engineSeries]) this.#register(series);
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Whom to ask; before it is known there is nothing to tell of models. */
  observe(sources: MetricsSources): void {
    this.#sources = sources;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, in Prometheus's text format. Scrapes that come at once get the same. */
  text(): Promise<string> {
    this.#scraping ??= this.#scrape().finally(() => {
      this.#scraping = undefined;
    });
    return this.#scraping;
  }

  async #scrape(): Promise<string> {
    if (this.#sources) {
      const { value: host, ageMs } = await this.#sources.host();
      const memory = this.#sources.memory();
      const names = new Map(memory.residents.map(({ modelId, name }) => [modelId, name]));
      this.#snapshot = { host, ageMs, memory, names };
    }
    return await this.#registry.metrics();
  }

  /** The library's own metrics hold their values; ours are read. It asks a metric for nothing but this. */
  #register({ name, type, help, read }: Series<Snapshot>): void {
    const get = async () => {
      const points = this.#snapshot ? read(this.#snapshot) : [];
      return { name, type, help, aggregator: "sum", values: points.flatMap((point) => samplesOf(name, point)) };
    };
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }
}
