// The process: opens the store, starts the worker, listens, and takes all of it down again in order.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { isIPv6 } from "node:net";
import { ServerCredentials } from "@grpc/grpc-js";
import { invalidFields } from "@modelwire/proto";
import { destination, type Logger, pino } from "pino";
import { buildApp } from "./app.ts";
import type { Config, TracesConfig } from "./config.ts";
import { createInferenceHost, type LoadOptions } from "./inference/host.ts";
import { type MetricsEndpoint, serveMetrics } from "./metrics/endpoint.ts";
import { Metrics } from "./metrics/metrics.ts";
import { fromInference } from "./services/inference-errors.ts";
import { openModelStore } from "./store/open.ts";
import { callTraces } from "./tracing/call-traces.ts";
import { SpanExporter } from "./tracing/exporter.ts";

/** Of this package, found by its name, so that it is the same from the sources and from dist. */
const { version } = createRequire(import.meta.url)("modelwire/package.json") as { version: string };

/** What spans of the last calls have to be sent in, where the calls took all of the grace time. */
const LEAST_FLUSH_MS = 1000;

export interface RunningServer {
  /** host:port that it listens on. */
  readonly address: string;
  /** host:port of /metrics; undefined when it is not served. */
  readonly metricsAddress: string | undefined;
  /** Stops taking calls, lets the running ones finish within the grace time, frees everything. Safe to call again. */
  drain(): Promise<void>;
  /** Resolves when drain() is through. */
  readonly closed: Promise<void>;
}

/**
 * Starts the service.
 * @throws ApiError SCHEMA_REVISION for a database of another MLflow release, RUNTIME_UNAVAILABLE where there is no ONNX
 *   Runtime, INVALID_FIELD for TLS files that cannot be read, whatever keeps a model of `load` from being loaded; Error when
 *   the address is taken.
 */
export async function startServer(config: Config, deps: { log?: Logger } = {}): Promise<RunningServer> {
  const log =
    deps.log ??
    pino(
      { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
      destination({ fd: 2, sync: true }),
    );
  const credentials = await serverCredentials(config);
  const store = await openModelStore(config.storeRoot, log, { keptBytes: config.maxModelBytes });
  const host = createInferenceHost();
  const { maxMessageBytes, maxConcurrentStreams, maxModelBytes, reflection, prefixCache } = config;
  const metrics = config.metrics && new Metrics(version);
  const exporter = config.traces && spanExporter(config.traces, log);
  const app = buildApp({
    ...{ store, host, log, maxModelBytes, maxMessageBytes, maxConcurrentStreams, reflection },
    watchers: [
      ...(metrics ? [metrics.watcher] : []),
      ...(exporter ? [callTraces(config.traces?.content ?? false, (span) => exporter.add(span))] : []),
    ],
    load: loadOptions(config),
    life: { memoryBytes: config.modelMemoryBytes, keepAliveMs: config.keepAliveMs },
    prefixScope: prefixCache === "caller" ? "caller" : "shared",
  });
  metrics?.observe(app.figures);
  let takesCalls = false;
  let endpoint: MetricsEndpoint | undefined;
  const release = async () => {
    await host.close();
    await store.close();
    // Last: until then somebody may want to know what keeps it.
    await endpoint?.close();
  };
  const hostname = isIPv6(config.host) ? `[${config.host}]` : config.host;
  let port: number;
  try {
    // Before the port opens: on a platform without the native library nothing could be logged or served.
    await host.start().catch((error) => Promise.reject(fromInference(error)));
    if (metrics && config.metrics)
      endpoint = await serveMetrics(
        config.metrics,
        metrics,
        () => takesCalls,
        (err) => log.error({ err }, "a scrape failed"),
      );
    await app.keep(config.load);
    port = await app.listen(`${hostname}:${config.port}`, credentials);
    takesCalls = true;
  } catch (error) {
    await release();
    throw error;
  }
  const address = `${hostname}:${port}`;
  const metricsAddress = endpoint?.address;
  log.info({ address, tls: config.tls !== undefined, store: config.storeRoot, metricsAddress }, "serving");
  let finish = () => {};
  const closed = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let draining: Promise<void> | undefined;
  const stop = async () => {
    log.info({ graceMs: config.graceMs }, "draining");
    takesCalls = false;
    const drained = performance.now() + config.graceMs;
    const cutOff = await app.drain(config.graceMs);
    await exporter?.close(Math.max(LEAST_FLUSH_MS, drained - performance.now()));
    await release();
    log.info({ cutOff }, "stopped");
    finish();
  };
  return {
    address,
    metricsAddress,
    closed,
    drain: () => {
      draining ??= stop();
      return draining;
    },
  };
}

function loadOptions(config: Config): LoadOptions {
  const { maxSequences, runner, cacheType, packedWeightsFolder, speculate, prefixCache } = config;
  const { maxQueue: queueLimit, threads, cacheTokens } = config;
  return {
    ...{
      maxSequences,
      runner,
      cacheType,
      packedWeightsFolder,
      queueLimit,
      speculate,
      prefixCache: prefixCache !== "off",
    },
    ...(threads !== undefined && { threads }),
    ...(cacheTokens !== undefined && { cacheTokens }),
  };
}

function spanExporter({ endpoint, headers, serviceName }: TracesConfig, log: Logger): SpanExporter {
  const resource = { "service.name": serviceName, "service.version": version, "process.pid": process.pid };
  const onLoss = (spans: number, why: string) => log.warn({ spans, why }, "spans were lost");
  return new SpanExporter({ endpoint, headers, resource, version, onLoss });
}

async function serverCredentials({ tls }: Config): Promise<ServerCredentials> {
  if (!tls) return ServerCredentials.createInsecure();
  const read = (flag: string, file: string) =>
    readFile(file).catch((error: Error) => {
      throw invalidFields([{ field: `--${flag}`, description: `cannot be read: ${error.message}` }]);
    });
  const [cert_chain, private_key] = await Promise.all([read("tls-cert", tls.cert), read("tls-key", tls.key)]);
  const clientCa = tls.clientCa === undefined ? null : await read("tls-client-ca", tls.clientCa);
  return ServerCredentials.createSsl(clientCa, [{ cert_chain, private_key }], clientCa !== null);
}
