// The file of packed weights: a header with a table, then the tensors, each at a multiple of a page so that they can be
// used where they are mapped. Everything in it but the tensors' bytes follows from the plans and the types of the
// scales, so a header is checked by making it again. It never reads or writes the tensors.
//
//   0  "mwpacked"   8  u32 version of this header    12  u32 MW_LAYOUT_VERSION    16  u64 bytes of the file
//   24 u32 bytes of the table   28  zero   32  SHA-256 of all this with zeros here   64  the table, JSON
//
// Numbers are little-endian, as the packed bytes are.

import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { ModelFolderError } from "./errors.ts";
import { isRecord } from "./json-fields.ts";
import type { MatrixForm } from "./kernels.ts";
import type { PackingKernels } from "./packed-weights-pack.ts";
import type { WeightPlan } from "./rewrite-result.ts";

export interface PackedTensor {
  readonly name: string;
  /** In the file, and in the memory that it is mapped to. */
  readonly offset: number;
  readonly bytes: number;
  /** MW_SCALE_… */
  readonly scaleType: number;
}

/** What lies where. */
export interface PackedLayout {
  /** In the order of the plans. */
  readonly tensors: readonly PackedTensor[];
  /** Of all, the header included. */
  readonly bytes: number;
  readonly header: Buffer;
}

const magic = Buffer.from("mwpacked");
const headerVersion = 1;
const fixedBytes = 64;
const pageBytes = 4096;
const digestAt = 32;
/** Of a hundred thousand tensors; more is garbage. */
const maxTableBytes = 16 * 1024 * 1024;

/** @throws ModelFolderError when the library does not support a plan's form */
export function layOut(
  kernels: PackingKernels,
  plans: readonly WeightPlan[],
  key: string,
  scaleTypes: ReadonlyMap<string, number>,
): PackedLayout {
  const wrong: string[] = [];
  let offset = 0;
  const table = plans.map((plan) => {
    const scaleType = scaleTypes.get(plan.name) ?? -1;
    const bytes = kernels.packedBytes(formOf(plan, scaleType));
    if (bytes < 0) wrong.push(plan.name);
    const tensor = { name: plan.name, offset, bytes, scaleType };
    offset += toPage(bytes);
    return tensor;
  });
  if (wrong.length > 0) throw notSupported(wrong);
  const text = Buffer.from(JSON.stringify({ key, tensors: table })); // its offsets count from the first tensor
  const start = toPage(fixedBytes + text.length);
  const header = headerOf(kernels.layoutVersion, start + offset, text);
  return {
    tensors: table.map((tensor) => ({ ...tensor, offset: start + tensor.offset })),
    bytes: start + offset,
    header,
  };
}

/**
 * What lies where in the file at `path`, or what is wrong with it; undefined when there is none. That the tensors' bytes
 * are right is not looked at: only whole files get the name, and reading them all would take as long as packing.
 */
export async function readLayout(
  kernels: PackingKernels,
  plans: readonly WeightPlan[],
  key: string,
  path: string,
): Promise<PackedLayout | { readonly problem: string } | undefined> {
  const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const { size } = await handle.stat();
    const fixed = await readUpTo(handle, 0, fixedBytes);
    if (fixed.length < fixedBytes || !fixed.subarray(0, magic.length).equals(magic)) {
      return { problem: "it is no file of packed weights" };
    }
    const bytes = fixed.readBigUInt64LE(16);
    if (bytes !== BigInt(size)) return { problem: `it has ${size} bytes in place of ${bytes}` };
    const text = await readUpTo(handle, fixedBytes, Math.min(fixed.readUInt32LE(24), maxTableBytes));
    // Its own versions and length, so that only what was damaged differs.
    const intact = headerOf(fixed.readUInt32LE(12), size, text, fixed.readUInt32LE(8));
    if (!intact.subarray(0, fixedBytes).equals(fixed)) return { problem: "its header is garbled" };
    const scaleTypes = scaleTypesOf(text);
    const all = plans.every((plan) => kernels.packedBytes(formOf(plan, scaleTypes.get(plan.name) ?? -1)) >= 0);
    const layout = all ? layOut(kernels, plans, key, scaleTypes) : undefined;
    return layout?.header.equals(intact) ? layout : { problem: "it is of another version, or of other weights" };
  } finally {
    await handle.close();
  }
}

/** The form of a plan once the type of its scales is known. */
export function formOf({ columns, depth, bits, block, zeroPoints }: WeightPlan, scaleType: number): MatrixForm {
  return { columns, depth, bits, block, zeroPoints: zeroPoints !== null, scaleType };
}

function headerOf(layoutVersion: number, bytes: number, table: Buffer, version = headerVersion): Buffer<ArrayBuffer> {
  const header = Buffer.concat([Buffer.alloc(fixedBytes), table]);
  magic.copy(header);
  header.writeUInt32LE(version, 8);
  header.writeUInt32LE(layoutVersion, 12);
  header.writeBigUInt64LE(BigInt(bytes), 16);
  header.writeUInt32LE(table.length, 24);
  createHash("sha256").update(header).digest().copy(header, digestAt);
  return header;
}

/** By name; empty when the table has another form. */
function scaleTypesOf(table: Buffer): Map<string, number> {
  const types = new Map<string, number>();
  const value: unknown = parse(table);
  const tensors = isRecord(value) && Array.isArray(value.tensors) ? value.tensors : [];
  for (const tensor of tensors) {
    if (!isRecord(tensor) || typeof tensor.name !== "string" || typeof tensor.scaleType !== "number") return new Map();
    types.set(tensor.name, tensor.scaleType);
  }
  return types;
}

function parse(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}

/** Less than `length` bytes at the end of the file. */
async function readUpTo(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await handle.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}

function toPage(bytes: number): number {
  return Math.ceil(bytes / pageBytes) * pageBytes;
}

function notSupported(names: readonly string[]): ModelFolderError {
  const description = "has a form that the library does not pack.";
  return new ModelFolderError(
    "The weights cannot be packed.",
    names.map((field) => ({ field, description })),
  );
}
