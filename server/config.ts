// Flags and environment → one frozen Config. Every default and its unit stands in the table below and nowhere else.
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type FieldViolation, invalidFields } from "@modelwire/proto";
import { type CacheType, cacheTypes, type RunnerChoice, runnerChoices } from "./onnx/runner-report.ts";

export interface Config {
  /** Host name or address to bind. */
  readonly host: string;
  /** Port to bind; 0 lets the system choose. */
  readonly port: number;
  /** Folder of mlflow.db and mlruns/, absolute. */
  readonly storeRoot: string;
  /** PEM files; both or neither. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** How long running calls may go on after SIGTERM, in milliseconds. */
  readonly graceMs: number;
  /** Largest gRPC message, in bytes. */
  readonly maxMessageBytes: number;
  /** Most bytes of a logged model, all its files together. */
  readonly maxModelBytes: number;
  /** Calls at a time on one connection. */
  readonly maxConcurrentStreams: number;
  /** ONNX Runtime threads per model; undefined means one for each core. */
  readonly threads: number | undefined;
  /** Sequences in one decoder step. */
  readonly maxSequences: number;
  /** Whose operators compute a decoder's steps. */
  readonly runner: RunnerChoice;
  /** What the native runner keeps keys and values in. */
  readonly cacheType: CacheType;
  /** Folder of the cache of packed weights, absolute. */
  readonly packedWeightsFolder: string;
  readonly reflection: boolean;
}

interface Option {
  flag: keyof typeof flags;
  value: string;
  env: string;
  fallback: string;
  help: string;
}

const flags = {
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
  runner: { type: "string" },
  "cache-type": { type: "string" },
  "packed-weights": { type: "string" },
  "no-reflection": { type: "boolean" },
} as const;

const OPTIONS: readonly Option[] = [
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
    flag: "no-reflection",
    value: "",
    env: "MODELWIRE_NO_REFLECTION",
    fallback: "false",
    help: "do not answer gRPC server reflection",
  },
];

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

/** Lines for a help text: each flag, its environment variable, and its default. */
export function configHelp(): string {
  return OPTIONS.map(({ flag, value, env, fallback, help }) => {
    const shown = fallback === "" || fallback === "false" ? "" : ` [${fallback}]`;
    return `  ${`--${flag} ${value}`.padEnd(30)} ${help}${shown} (${env})`;
  }).join("\n");
}

/**
 * Reads flags, then the environment, then defaults.
 * @throws ApiError INVALID_FIELD with every problem, the field being the flag.
 * @throws TypeError of node:util's parseArgs for an unknown flag.
 */
export function parseConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Config {
  const { values } = parseArgs({ args: [...argv], options: flags, strict: true, allowPositionals: false });
  const problems: FieldViolation[] = [];
  const text = (flag: keyof typeof flags): string => {
    const option = OPTIONS.find((o) => o.flag === flag) as Option;
    return String(values[flag] ?? env[option.env] ?? option.fallback);
  };
  const integer = (flag: keyof typeof flags, min: number, max: number): number => {
    const value = Number(text(flag));
    if (!/^\d+$/.test(text(flag)) || value < min || value > max)
      problems.push({
        field: `--${flag}`,
        description: `must be a whole number from ${min} to ${max}, got "${text(flag)}"`,
      });
    return value;
  };
  const truth = (flag: keyof typeof flags): boolean => {
    if (/^(1|true)$/.test(text(flag))) return true;
    if (!/^(0|false|)$/.test(text(flag)))
      problems.push({ field: `--${flag}`, description: `must be true or false, got "${text(flag)}"` });
    return false;
  };

  const host = text("host");
  const [cert, key, clientCa] = [text("tls-cert"), text("tls-key"), text("tls-client-ca")];
  if (Boolean(cert) !== Boolean(key))
    problems.push({
      field: cert ? "--tls-key" : "--tls-cert",
      description: "is missing: TLS needs both --tls-cert and --tls-key",
    });
  if (clientCa && !cert)
    problems.push({ field: "--tls-client-ca", description: "needs --tls-cert and --tls-key as well" });
  if (!cert && !truth("allow-insecure") && !isLoopback(host))
    problems.push({
      field: "--host",
      description: `${host} can be reached by others and there is no TLS: give --tls-cert and --tls-key, or --allow-insecure if something else protects it`,
    });
  const oneOf = <T extends string>(flag: keyof typeof flags, allowed: readonly T[]): T => {
    const value = allowed.find((candidate) => candidate === text(flag));
    if (value === undefined)
      problems.push({ field: `--${flag}`, description: `must be one of ${allowed.join(", ")}, got "${text(flag)}"` });
    return value ?? (allowed[0] as T);
  };
  const storeRoot = resolve(text("store"));
  const config: Config = {
    host,
    port: integer("port", 0, 65_535),
    storeRoot,
    tls: cert ? { cert, key, clientCa: clientCa || undefined } : undefined,
    logLevel: oneOf("log-level", LOG_LEVELS),
    graceMs: integer("grace-ms", 0, 86_400_000),
    maxMessageBytes: integer("max-message-bytes", 64 << 10, 1 << 30),
    maxModelBytes: integer("max-model-bytes", 1, Number.MAX_SAFE_INTEGER),
    maxConcurrentStreams: integer("max-concurrent-streams", 1, 1_000_000),
    threads: text("threads") === "" ? undefined : integer("threads", 1, 1024),
    maxSequences: integer("max-sequences", 1, 256),
    runner: oneOf("runner", runnerChoices),
    cacheType: oneOf("cache-type", cacheTypes),
    packedWeightsFolder: resolve(text("packed-weights") || join(storeRoot, ".modelwire-packed")),
    reflection: !truth("no-reflection"),
  };
  if (problems.length > 0) throw invalidFields(problems);
  return Object.freeze(config);
}

/** Whether only this machine can reach an address. A host name other than localhost counts as reachable. */
function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1" || host === "[::1]") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
