// Flags and environment → one frozen Config. Every default and its unit stands in the table of
// config-options and nowhere else.
import { isIP } from "node:net";
import { totalmem } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type FieldViolation, invalidFields } from "@modelwire/proto";
import { flags, OPTIONS, type Option } from "./config-options.ts";
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
  /** Answers of one model that may wait for a place. */
  readonly maxQueue: number;
  /** Tokens that the sequences of one model can have in the cache together; undefined means as many as memory allows. */
  readonly cacheTokens: number | undefined;
  /** Who shares computed beginnings of prompts: everybody with the same salt, the calls of one caller, or nobody. */
  readonly prefixCache: PrefixCache;
  /** Guess tokens ahead, where that is worth it. */
  readonly speculate: boolean;
  /** Models to load before the port opens and never to give up for others: ids, URIs or names. */
  readonly load: readonly string[];
  /** Memory for models, their caches at their fullest included, in bytes; Infinity for no limit. */
  readonly modelMemoryBytes: number;
  /** A model that nobody asked for so long is unloaded, in milliseconds; Infinity for never. */
  readonly keepAliveMs: number;
  /** Where /metrics is served; port 0 lets the system choose. Undefined: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** Undefined: nobody gets traces. */
  readonly traces: TracesConfig | undefined;
}

export interface TracesConfig {
  /** Base URL of an OTLP/HTTP collector. */
  readonly endpoint: string;
  /** Sent along, such as a key. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whose traces they are. */
  readonly serviceName: string;
  /** They hold messages and answers. */
  readonly content: boolean;
}

export type PrefixCache = "shared" | "caller" | "off";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
const PREFIX_CACHES: readonly PrefixCache[] = ["shared", "caller", "off"];

/** The part of the machine's memory that models may take unless somebody says how much. */
const MODEL_SHARE = 3 / 4;

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
  const endpoint = text("otlp-endpoint");
  if (endpoint !== "" && !/^https?:$/.test(protocolOf(endpoint)))
    problems.push({ field: "--otlp-endpoint", description: `must be an http or https URL, got "${endpoint}"` });
  const headers = pairs(text("otlp-headers"));
  if (!headers)
    problems.push({ field: "--otlp-headers", description: "must be name=value pairs with commas between them" });
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
    maxQueue: integer("max-queue", 0, 1_000_000),
    cacheTokens: text("cache-tokens") === "" ? undefined : integer("cache-tokens", 1, 2 ** 31 - 1),
    prefixCache: oneOf("prefix-cache", PREFIX_CACHES),
    speculate: !truth("no-speculation"),
    load: names(text("load")),
    modelMemoryBytes:
      text("model-memory-bytes") === ""
        ? Math.floor(machineMemory() * MODEL_SHARE)
        : integer("model-memory-bytes", 0, Number.MAX_SAFE_INTEGER) || Infinity,
    keepAliveMs: integer("keep-alive-ms", 0, 2 ** 31 - 1) || Infinity,
    metrics:
      text("metrics-port") === ""
        ? undefined
        : { host: text("metrics-host"), port: integer("metrics-port", 0, 65_535) },
    traces:
      endpoint === ""
        ? undefined
        : { endpoint, headers: headers ?? {}, serviceName: text("service-name"), content: truth("trace-content") },
  };
  if (problems.length > 0) throw invalidFields(problems);
  return Object.freeze(config);
}

/** Whether only this machine can reach an address. A host name other than localhost counts as reachable. */
function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1" || host === "[::1]") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

function names(text: string): string[] {
  return text.split(",").flatMap((name) => name.trim() || []);
}

/** "a=b,c=d", with %2C for a comma in a value, as OpenTelemetry has it; undefined for what is not that. */
function pairs(text: string): Record<string, string> | undefined {
  const found = names(text).map((pair) => /^([\w.-]+)=(.*)$/s.exec(pair));
  if (found.some((match) => !match)) return undefined;
  try {
    return Object.fromEntries(found.map((match) => [match?.[1] ?? "", decodeURIComponent(match?.[2] ?? "")]));
  } catch {
    return undefined;
  }
}

/** With its colon; "" for what is no URL. */
function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : "";
}

/** Bytes of memory, within the limit of the container where there is one. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit ? Math.min(limit, totalmem()) : totalmem();
}
