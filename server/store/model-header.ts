// What a header of an upload may say, by MLflow's rules and the widths of its columns. Pure.
import { createHash } from "node:crypto";
import { type FieldViolation, invalidFields, type LogModelHeader } from "@modelwire/proto";
import { LLM_TASKS } from "../mlmodel/model-files.ts";
import type { Content } from "./artifact-store.ts";

/** Tags that this server sets itself; a header may not. */
const OWN_TAG_PREFIX = "modelwire.";

/** What a name is never taken for, and a reference without "models:/" is. */
export const MODEL_ID = /^m-[0-9a-f]{32}$/;

const MAX = { name: 500, modelType: 500, experimentName: 256, key: 250, requestId: 128 } as const;
/** Most bytes of a signature's texts: they go into every message about the model. Tens of thousands of columns. */
export const MAX_SIGNATURE_BYTES = 2 << 20;

/** Of all params, tags and metadata: they go into every message about the model. */
const MAX_ENTRY_BYTES = 1 << 20;
/** Of the same: each is a row of the database, and fifty thousand of them hold everybody up for seconds. */
const MAX_ENTRIES = 10_000;
const MAX_STEP = 2n ** 63n - 1n;

/** @throws ApiError INVALID_FIELD with every problem. */
export function checkHeader(header: LogModelHeader): void {
  const problems: FieldViolation[] = [];
  const problem = (field: string, description: string) => problems.push({ field: `header.${field}`, description });
  const tooLong = (field: string, text: string, limit: number) => {
    if (text.length > limit) problem(field, `has ${text.length} characters, more than ${limit}`);
  };
  if (header.name === "") problem("name", "is missing: give the model a name");
  if (/[/:.%'"]/.test(header.name)) problem("name", `must not contain / : . % ' or ", got "${header.name}"`);
  if (MODEL_ID.test(header.name)) problem("name", "must not look like a model id");
  tooLong("name", header.name, MAX.name);
  if (!/^[\w.:-]*$/.test(header.requestId)) problem("request_id", "must be letters, digits, or _ . : -");
  tooLong("request_id", header.requestId, MAX.requestId);
  tooLong("model_type", header.modelType, MAX.modelType);
  tooLong("experiment_name", header.experimentName, MAX.experimentName);
  if (header.experimentId !== "" && header.experimentName !== "")
    problem("experiment_id", "is not to be given together with experiment_name");
  if (header.experimentId !== "" && !/^\d{1,19}$/.test(header.experimentId))
    problem("experiment_id", `must be decimal text, got "${header.experimentId}"`);
  if (header.task !== "" && !(LLM_TASKS as readonly string[]).includes(header.task))
    problem("task", `must be one of ${LLM_TASKS.join(", ")}, got "${header.task}"`);
  if (header.step < 0n || header.step > MAX_STEP) problem("step", `must be from 0 to ${MAX_STEP}, got ${header.step}`);
  for (const field of ["params", "tags", "metadata"] as const)
    for (const key of Object.keys(header[field]))
      if (key === "" || key.length > MAX.key)
        problem(`${field}["${key.slice(0, 50)}"]`, `must have a key of 1 to ${MAX.key} characters`);
  const entries = [header.params, header.tags, header.metadata].flatMap((map) => Object.entries(map).flat());
  if (entries.length > 2 * MAX_ENTRIES)
    problem(
      "params",
      `are, with tags and metadata, ${entries.length / 2}, more than ${MAX_ENTRIES}: put data into files`,
    );
  const bytes = entries.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAX_ENTRY_BYTES)
    problem(
      "params",
      `have, with tags and metadata, ${bytes} bytes, more than ${MAX_ENTRY_BYTES}: put data into files`,
    );
  if (signatureBytes(header.signature) > MAX_SIGNATURE_BYTES)
    problem("signature", `has ${signatureBytes(header.signature)} bytes, more than ${MAX_SIGNATURE_BYTES}`);
  for (const key of Object.keys(header.tags))
    if (key.startsWith(OWN_TAG_PREFIX)) problem(`tags["${key}"]`, `is for the server: use another prefix`);
  if (Object.hasOwn(header.metadata, "task")) problem('metadata["task"]', "is found out by the server; leave it out");
  if (problems.length > 0) throw invalidFields(problems);
}

/** @param signature Its JSON texts. */
export function signatureBytes(signature: Partial<Record<"inputs" | "outputs" | "params", string | null>> | undefined) {
  const { inputs, outputs, params } = signature ?? {};
  return [inputs, outputs, params].reduce((sum, text) => sum + Buffer.byteLength(text ?? ""), 0);
}

/** Most files of one model: a folder of a model has tens, and each costs the store an inode and a flush. */
export const MAX_FILES = 10_000;

/** @throws ApiError INVALID_FIELD with every problem of the files that a plan is asked for. */
export function checkContents(contents: readonly Content[]): void {
  const problems: FieldViolation[] = [];
  if (contents.length > MAX_FILES)
    problems.push({ field: "files", description: `has ${contents.length} entries, more than ${MAX_FILES}` });
  for (const [index, { sizeBytes, sha256 }] of contents.slice(0, MAX_FILES).entries()) {
    const problem = (field: string, description: string) =>
      problems.push({ field: `files[${index}].${field}`, description });
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) problem("size_bytes", `must be 0 or more, got ${sizeBytes}`);
    if (!/^[0-9a-f]{64}$/.test(sha256)) problem("sha256", "must be 64 lower-case hexadecimal digits");
  }
  if (problems.length > 0) throw invalidFields(problems);
}

/** SHA-256 of what is asked for, the request_id left out, so that the same id for another request is noticed. */
export function headerDigest(header: LogModelHeader): string {
  const sorted = (map: Readonly<Record<string, string>>) => Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  const facts: unknown[] = [
    header.name,
    header.experimentId,
    header.experimentName,
    header.runId,
    String(header.step),
    header.modelType,
    sorted(header.params),
    sorted(header.tags),
    sorted(header.metadata),
  ];
  const { task, signature, inputExample } = header;
  // Fields that came later count only when they are given: the digests of older servers must stay what they were.
  if (task !== "" || signature || inputExample !== undefined)
    facts.push(
      [task, signature?.inputs, signature?.outputs, signature?.params, inputExample].map((one) => one ?? null),
    );
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}
