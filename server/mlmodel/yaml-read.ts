// A YAML file as PyYAML's safe_load reads it. The parser finds the structure; what a scalar without quotes means is
// decided by yaml-scalar.ts.
import { ApiError } from "@modelwire/proto";
import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument, Scalar } from "yaml";
import { plainValue } from "./yaml-scalar.ts";
import type { YamlValue } from "./yaml-write.ts";

/** Values in one file, aliases counted each time: a small file may otherwise unfold into gigabytes. */
const MAX_NODES = 100_000;

const PLAIN_TAGS = new Set(
  ["str", "int", "float", "bool", "null", "seq", "map", "timestamp"].map((name) => `tag:yaml.org,2002:${name}`),
);

export interface ReadYamlOptions {
  /** Keys whose values are ids or versions: they keep their text, whatever it looks like. */
  textKeys?: ReadonlySet<string>;
}

/** @throws ApiError MODEL_INVALID with the place of the first mistake. @param name Of the file, for errors. */
export function readYaml(text: string, name: string, { textKeys = new Set() }: ReadYamlOptions = {}): YamlValue {
  const document = parseDocument(text, { version: "1.1", schema: "failsafe", merge: false, uniqueKeys: false });
  const mistake = document.errors[0];
  if (mistake) throw invalid(name, mistake.message);
  let nodes = 0;
  const visit = (node: Node | null | undefined, document: Document, asText: boolean): YamlValue => {
    if (++nodes > MAX_NODES) throw invalid(name, `it holds more than ${MAX_NODES} values`);
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return visit(node.resolve(document), document, asText);
    if (node.tag && !PLAIN_TAGS.has(node.tag)) throw invalid(name, `the tag ${node.tag} is none of plain data's`);
    if (isScalar(node)) return scalar(node, asText);
    if (isSeq(node)) return node.items.map((item) => visit(item as Node, document, asText));
    if (!isMap(node)) return null;
    const entries: Record<string, YamlValue> = Object.create(null);
    for (const { key, value } of node.items) {
      const keyText = isScalar(key) ? String(key.source ?? key.value ?? "") : invalidKey(name);
      entries[keyText] = visit(value as Node | null, document, textKeys.has(keyText));
    }
    return entries;
  };
  return visit(document.contents as Node | null, document as Document, false);
}

function scalar(node: Scalar, asText: boolean): YamlValue {
  const text = typeof node.value === "string" ? node.value : String(node.source ?? "");
  if (node.type !== Scalar.PLAIN || node.tag === "tag:yaml.org,2002:str") return text;
  const value = plainValue(text);
  return asText && value !== null ? text : value;
}

function invalidKey(name: string): never {
  throw invalid(name, "a key is no text");
}

function invalid(name: string, message: string): ApiError {
  return new ApiError("MODEL_INVALID", `${name} is no YAML that can be read: ${message}`);
}
