// The table of the service's settings: flag, environment variable, default with its unit, help. Every default stands here and
// nowhere else. It must never know what a value means.

/** One setting: its flag, its environment variable, its default, and its line in the help. */
export interface Option {
  flag: keyof typeof flags;
  value: string;
  env: string;
  fallback: string;
  help: string;
}

export const flags = {
  host: { type: "string" },
  port: { type: "string" },
  store: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-client-ca": { type: "string" },
  "allow-insecure": { type: "boolean" },
  "log-level": { type: "string" },
  "grace-ms": { type: "string" },
  "max-message-bytes": { type: "string" },
  "max-model-bytes": { type: "string" },
  "max-concurrent-streams": { type: "string" },
  threads: { type: "string" },
  "max-sequences": { type: "string" },
  "max-queue": { type: "string" },
  "cache-tokens": { type: "string" },
  "prefix-cache": { type: "string" },
  "no-speculation": { type: "boolean" },
  runner: { type: "string" },
  "cache-type": { type: "string" },
  "packed-weights": { type: "string" },
  load: { type: "string" },
  "model-memory-bytes": { type: "string" },
  "keep-alive-ms": { type: "string" },
  "metrics-port": { type: "string" },
  "metrics-host": { type: "string" },
  "otlp-endpoint": { type: "string" },
  "otlp-headers": { type: "string" },
  "service-name": { type: "string" },
  "trace-content": { type: "boolean" },
  "no-reflection": { type: "boolean" },
} as const;

export const OPTIONS: readonly Option[] = [
  { flag: "host", value: "<host>", env: "MODELWIRE_HOST", fallback: "127.0.0.1", help: "address to listen on" },
  {
    flag: "port",
    value: "<port>",
    env: "MODELWIRE_PORT",
    fallback: "50051",
    help: "port to listen on; 0 lets the system choose",
  },
  {
    flag: "store",
    value: "<dir>",
    env: "MODELWIRE_STORE",
    fallback: ".",
    help: "folder of mlflow.db and mlruns/, as MLflow lays them out",
  },
  {
    flag: "tls-cert",
    value: "<pem>",
    env: "MODELWIRE_TLS_CERT",
    fallback: "",
    help: "certificate chain; with --tls-key turns TLS on",
  },
  { flag: "tls-key", value: "<pem>", env: "MODELWIRE_TLS_KEY", fallback: "", help: "private key" },
  {
    flag: "tls-client-ca",
    value: "<pem>",
    env: "MODELWIRE_TLS_CLIENT_CA",
    fallback: "",
    help: "only clients with a certificate of this authority (mTLS)",
  },
  {
    flag: "allow-insecure",
    value: "",
    env: "MODELWIRE_ALLOW_INSECURE",
    fallback: "false",
    help: "listen without TLS on an address that others can reach",
  },
  {
    flag: "log-level",
    value: "<level>",
    env: "MODELWIRE_LOG_LEVEL",
    fallback: "info",
    help: "trace, debug, info, warn, error or silent",
  },
  {
    flag: "grace-ms",
    value: "<ms>",
    env: "MODELWIRE_GRACE_MS",
    fallback: "30000",
    help: "how long running calls may go on after SIGTERM",
  },
  {
    flag: "max-message-bytes",
    value: "<n>",
    env: "MODELWIRE_MAX_MESSAGE_BYTES",
    fallback: "4194304",
    help: "largest gRPC message",
  },
  {
    flag: "max-model-bytes",
    value: "<n>",
    env: "MODELWIRE_MAX_MODEL_BYTES",
    fallback: String(64 * 2 ** 30),
    help: "most bytes of a logged model, all its files together",
  },
  {
    flag: "max-concurrent-streams",
    value: "<n>",
    env: "MODELWIRE_MAX_CONCURRENT_STREAMS",
    fallback: "256",
    help: "calls at a time on one connection",
  },
  {
    flag: "threads",
    value: "<n>",
    env: "MODELWIRE_THREADS",
    fallback: "",
    help: "ONNX Runtime threads; default one for each core",
  },
  {
    flag: "max-sequences",
    value: "<n>",
    env: "MODELWIRE_MAX_SEQUENCES",
    fallback: "8",
    help: "sequences in one decoder step",
  },
  {
    flag: "max-queue",
    value: "<n>",
    env: "MODELWIRE_MAX_QUEUE",
    fallback: "256",
    help: "answers of one model that may wait for a place",
  },
  {
    flag: "cache-tokens",
    value: "<n>",
    env: "MODELWIRE_CACHE_TOKENS",
    fallback: "",
    help: "tokens in a model's cache; default as many as memory allows",
  },
  {
    flag: "prefix-cache",
    value: "<whose>",
    env: "MODELWIRE_PREFIX_CACHE",
    fallback: "shared",
    help: "beginnings of prompts: shared by all, by one caller's calls, or off",
  },
  {
    flag: "no-speculation",
    value: "",
    env: "MODELWIRE_NO_SPECULATION",
    fallback: "false",
    help: "do not guess tokens ahead; the answers are the same",
  },
  {
    flag: "runner",
    value: "<which>",
    env: "MODELWIRE_RUNNER",
    fallback: "auto",
    help: "native (own operators), stock (ONNX Runtime's), or auto: native where it can",
  },
  {
    flag: "cache-type",
    value: "<type>",
    env: "MODELWIRE_CACHE_TYPE",
    fallback: "float16",
    help: "the native runner's keys and values: float32, float16, int8",
  },
  {
    flag: "packed-weights",
    value: "<dir>",
    env: "MODELWIRE_PACKED_WEIGHTS",
    fallback: "",
    help: "cache of packed weights; default <store>/.modelwire-packed",
  },
  {
    flag: "load",
    value: "<names>",
    env: "MODELWIRE_LOAD",
    fallback: "",
    help: "models to load before the port opens and to keep, with commas between them",
  },
  {
    flag: "model-memory-bytes",
    value: "<n>",
    env: "MODELWIRE_MODEL_MEMORY_BYTES",
    fallback: "",
    help: "memory for models; 0 no limit, default 3/4 of the machine's",
  },
  {
    flag: "keep-alive-ms",
    value: "<ms>",
    env: "MODELWIRE_KEEP_ALIVE_MS",
    fallback: "0",
    help: "unload a model that nobody asked for so long; 0 never",
  },
  {
    flag: "metrics-port",
    value: "<port>",
    env: "MODELWIRE_METRICS_PORT",
    fallback: "",
    help: "serve /metrics for Prometheus there; 0 lets the system choose",
  },
  {
    flag: "metrics-host",
    value: "<host>",
    env: "MODELWIRE_METRICS_HOST",
    fallback: "127.0.0.1",
    help: "address of /metrics",
  },
  {
    flag: "otlp-endpoint",
    value: "<url>",
    env: "OTEL_EXPORTER_OTLP_ENDPOINT",
    fallback: "",
    help: "send traces there by OTLP/HTTP, such as http://localhost:4318",
  },
  {
    flag: "otlp-headers",
    value: "<n=v,…>",
    env: "OTEL_EXPORTER_OTLP_HEADERS",
    fallback: "",
    help: "sent along with traces, such as a key",
  },
  {
    flag: "service-name",
    value: "<name>",
    env: "OTEL_SERVICE_NAME",
    fallback: "modelwire",
    help: "whose traces they are",
  },
  {
    flag: "trace-content",
    value: "",
    env: "MODELWIRE_TRACE_CONTENT",
    fallback: "false",
    help: "put messages and answers into the traces",
  },
  {
    flag: "no-reflection",
    value: "",
    env: "MODELWIRE_NO_REFLECTION",
    fallback: "false",
    help: "do not answer gRPC server reflection",
  },
];

/** Lines for a help text: each flag, its environment variable, and its default. */
export function configHelp(): string {
  return OPTIONS.map(({ flag, value, env, fallback, help }) => {
    const shown = fallback === "" || fallback === "false" ? "" : ` [${fallback}]`;
    return `  ${`--${flag} ${value}`.padEnd(30)} ${help}${shown} (${env})`;
  }).join("\n");
}
