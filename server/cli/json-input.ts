// Data from the command line, as the JSON texts that the service takes: numbers are never read here, so that 1 and 1.0 stay
// two things. It must never judge what the data means to a model.
import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ModelInput } from "@modelwire/client";
import type { ValueSchema } from "@modelwire/proto";
import type { Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { pairsFlag } from "./flags.ts";

type ValueInit = MessageInitShape<typeof ValueSchema>;

/** Keys that make an object a body of MLflow's scoring server. */
const BODY_KEYS = ["dataframe_split", "dataframe_records", "instances", "inputs", "messages", "prompt", "input"];

/**
 * A body of MLflow's scoring server: the text itself when it is one, else one with the text in its place: a list of
 * objects is rows of a table, anything else goes under `inputs`.
 */
export function asBody(text: string): string {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    // NaN and the like: Python reads them, and if it is no JSON at all the server says so.
    return text;
  }
  const isObject = (item: unknown) => typeof item === "object" && item !== null && !Array.isArray(item);
  if (isObject(data) && BODY_KEYS.some((key) => Object.hasOwn(data as object, key))) return text;
  const table = Array.isArray(data) && data.length > 0 && data.every(isObject);
  return `{"${table ? "dataframe_records" : "inputs"}": ${text}}`;
}

/** The text of a file, or of stdin for "-". @throws UsageError when it cannot be read. */
export async function readText(flag: string, path: string, io: Io): Promise<string> {
  if (path === "-") return await readStdin(io);
  return await readFile(path, "utf8").catch((error: Error) => {
    throw new UsageError(`--${flag} cannot be read: ${error.message}`);
  });
}

/** All of stdin, or what had come when Ctrl-C came. */
export async function readStdin(io: Io): Promise<string> {
  const stop = () => io.stdin.destroy();
  io.signal.addEventListener("abort", stop, { once: true });
  try {
    return await readAll(io.stdin);
  } finally {
    io.signal.removeEventListener("abort", stop);
  }
}

/** The JSON text behind a flag: itself, or that of the file which it names. @throws UsageError when that cannot be read. */
export async function jsonOrFile(flag: string, value: string, io: Io): Promise<string> {
  return /^\s*[[{"]/.test(value) ? value : await readText(flag, value, io);
}

/** `name=value` behind a flag: JSON where the value is that, else a text. @throws UsageError when there is no "=". */
export function paramsOf(flag: string, values: readonly string[] = []): Record<string, ModelInput> | undefined {
  if (values.length === 0) return undefined;
  return Object.fromEntries(pairsFlag(flag, values).map(([name, text]) => [name, jsonOrText(text) as ModelInput]));
}

/** The same as values, in which 1 is an int and 1.0 a float. */
export function exactParams(flag: string, values: readonly string[] = []) {
  return pairsFlag(flag, values).map(([key, text]) => ({ key, value: exactValue(text, jsonOrText(text)) }));
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param text where the data came from: in a text with a point or an exponent, all numbers are floats */
function exactValue(text: string, data: unknown): ValueInit {
  if (typeof data === "number") {
    const float = /[.eE]/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ""));
    return { kind: float ? { case: "doubleValue", value: data } : { case: "intValue", value: BigInt(data) } };
  }
  if (typeof data === "boolean") return { kind: { case: "boolValue", value: data } };
  if (typeof data === "string") return { kind: { case: "stringValue", value: data } };
  if (data === null) return { kind: { case: "nullValue", value: 0 } };
  if (Array.isArray(data)) {
    return { kind: { case: "listValue", value: { values: data.map((item) => exactValue(text, item)) } } };
  }
  const entries = Object.entries(data as object).map(([key, item]) => ({ key, value: exactValue(text, item) }));
  return { kind: { case: "objectValue", value: { entries } } };
}
