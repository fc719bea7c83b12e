// Folders of weights for the tests of the packed ones: every way a tensor may lie, and what must come of it.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kernels, Matrix } from "../../server/onnx/kernels.ts";
import type { PackedWeights, PackingKernels } from "../../server/onnx/packed-weights.ts";
import type { TensorSource, WeightPlan } from "../../server/onnx/rewrite-result.ts";

export interface WeightFolder {
  readonly path: string;
  readonly plans: readonly WeightPlan[];
  readonly matrices: ReadonlyMap<string, Matrix>;
}

/** Of the file that most of the weights lie in. */
export const dataFile = "model.onnx.data";

/** Name, columns, depth, bits, block, zero points, MW_SCALE_… */
type Shape = readonly [string, number, number, 4 | 8, number, boolean, 0 | 1];

const ordinary: readonly Shape[] = [
  ["qkv", 96, 256, 4, 32, false, 1],
  ["up", 70, 100, 4, 32, true, 0],
  ["down", 33, 48, 4, 16, false, 0],
  ["head", 40, 128, 8, 64, false, 1],
  ["wide", 2048, 1024, 4, 128, false, 1],
];

/** More than is read, packed or written at once. */
export const large: readonly Shape[] = [
  ["up", 32, 32, 4, 32, true, 0],
  ["large", 4100, 4608, 4, 128, false, 1],
];

/** Writes a folder of weights. */
export function writeWeights(path: string, seed: number, shapes = ordinary): WeightFolder {
  const { plans, matrices, files } = makeWeights(seed, shapes);
  mkdirSync(path, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
  return { path, plans, matrices };
}

/** Two files and bytes in the graph, ends of panels and blocks, zero points, 8 bits, scales of two types. */
export function makeWeights(seed: number, shapes = ordinary) {
  const random = randomFrom(seed);
  const matrices = new Map<string, Matrix>();
  const plans: WeightPlan[] = [];
  const parts: Uint8Array[] = [new Uint8Array(3)]; // nothing is aligned
  let end = 3;
  const place = (bytes: Uint8Array): TensorSource => {
    parts.push(bytes);
    end += bytes.length;
    return { file: dataFile, offset: end - bytes.length, length: bytes.length };
  };
  for (const [name, columns, depth, bits, block, zeroPoints, scaleType] of shapes) {
    const blocks = Math.ceil(depth / block);
    const bytes = (length: number) => Uint8Array.from({ length }, () => random() * 256);
    const matrix: Matrix = {
      form: { columns, depth, bits, block, zeroPoints, scaleType },
      weights: bytes((columns * blocks * block * bits) / 8),
      // A fraction of few bits is a number of half precision, too.
      scales: Float32Array.from({ length: columns * blocks }, () => {
        return scaleType === 1 ? Math.floor(random() * 1024) / 4096 : random() / 16;
      }),
      zeroPoints: zeroPoints ? bytes(columns * Math.ceil((blocks * bits) / 8)) : null,
    };
    matrices.set(name, matrix);
    const scales = new Uint8Array(matrix.scales.buffer);
    const inGraph = name === "down";
    plans.push({
      ...{ name, columns, depth, bits, block },
      weights: inGraph ? { bytes: matrix.weights } : place(matrix.weights),
      scales: inGraph ? { bytes: new Uint8Array([0, ...scales]).subarray(1) } : place(scales),
      zeroPoints: matrix.zeroPoints && { file: "zero-points.data", offset: 0, length: matrix.zeroPoints.length },
    });
  }
  const files = [
    [dataFile, Buffer.concat(parts)],
    ["zero-points.data", matrices.get("up")!.zeroPoints!],
  ] as const;
  return { plans, matrices, files };
}

/** The digests of what the library makes of each matrix at once, by name. */
export async function packedAtOnce(kernels: Kernels, { matrices }: WeightFolder): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, matrix] of matrices) {
    const out = Buffer.alloc(kernels.packedBytes(matrix.form), "garbage");
    await kernels.pack(out, matrix, 0, matrix.form.columns);
    digests[name] = digestOf(out);
  }
  return digests;
}

/** The digests of all packed weights, by name. */
export function digestsOf(packed: PackedWeights): Record<string, string> {
  const names = [...packed.scaleTypes.keys()];
  return Object.fromEntries(
    names.map((name) => {
      const { buffer, byteOffset, byteLength } = packed.locate(name);
      return [name, digestOf(buffer.bytes(byteOffset, byteLength))];
    }),
  );
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The library, with something of it done otherwise. */
export function withChanges(kernels: Kernels, changes: Partial<PackingKernels>): PackingKernels {
  return {
    layoutVersion: kernels.layoutVersion,
    packedBytes: (form) => kernels.packedBytes(form),
    scaleType: (scales) => kernels.scaleType(scales),
    pack: (...args) => kernels.pack(...args),
    mapFile: (path, bytes) => kernels.mapFile(path, bytes),
    reserve: (bytes) => kernels.reserve(bytes),
    ...changes,
  };
}

/** Numbers in [0, 1): a linear congruential generator (Numerical Recipes' constants). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
