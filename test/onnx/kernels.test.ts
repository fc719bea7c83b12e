import { constants } from "node:buffer";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Kernels, kernelsPath, type Matrix, type MatrixForm, openKernels } from "../../server/onnx/kernels.ts";
import { Runtime } from "../../server/onnx/runtime.ts";

const kernels = found();
const best = kernels.variant;
const folder = mkdtempSync(join(tmpdir(), "modelwire-kernels-"));
afterAll(() => {
  kernels.chooseVariant(best);
  rmSync(folder, { recursive: true });
});

function found(): Kernels {
  const result = openKernels();
  if (!result.kernels) throw new Error(result.reason);
  return result.kernels;
}

describe("the library of operators", () => {
  test("says why there is none instead of failing, where there is none", () => {
    expect(kernelsPath("freebsd", "x64")).toEqual({
      path: null,
      reason: "@modelwire/kernels has no library for freebsd x64.",
    });
    expect(kernelsPath("linux", "riscv64").path).toBeNull();
  });

  test("is opened once, and beside ONNX Runtime", () => {
    expect(openKernels().kernels).toBe(kernels);
    new Runtime().close();
  });

  test("runs every variant of this processor, the best one unless told otherwise, and no other", () => {
    expect(kernels.variants.at(-1)).toBe("scalar");
    expect(best).toBe(process.env.MODELWIRE_KERNELS ?? kernels.variants[0]);
    for (const name of kernels.variants) {
      kernels.chooseVariant(name);
      expect(kernels.variant).toBe(name);
    }
    expect(() => kernels.chooseVariant("vax")).toThrow(`This processor runs ${kernels.variants.join(", ")}, not vax.`);
    kernels.chooseVariant(best);
  });

  test("tells how large packed weights and caches are, and -1 of what it does not take", () => {
    expect(kernels.packedBytes(form)).toBeGreaterThanOrEqual((96 * 128) / 2);
    expect(kernels.packedBytes({ ...form, block: 7 })).toBe(-1);
    expect(kernels.kvLayerBytes(8, 128, "f32")).toBe(2 * 8 * 128 * 32 * 4);
    expect(kernels.kvLayerBytes(8, 128, "f16")).toBe(2 * 8 * 128 * 32 * 2);
    expect(kernels.kvLayerBytes(8, 5, "f16")).toBe(-1);
  });

  test("packs columns in any pieces to the same bytes, several at a time", async () => {
    const whole = await packed([0, 96]);
    expect(await packed([0, 32, 96])).toEqual(whole);
    expect(await packed([0, 32, 64, 96])).toEqual(whole);
  });

  test("refuses to pack what is not as long as its form says, before it reads any of it", async () => {
    const { weights, scales } = matrix;
    const pack = (change: Partial<Matrix>, first = 0, last = 96, out = new Uint8Array(kernels.packedBytes(form))) =>
      kernels.pack(out, { ...matrix, ...change }, first, last);
    await expect(pack({ weights: weights.subarray(1) })).rejects.toThrow("6143 bytes of weights; it needs 6144");
    await expect(pack({ scales: scales.subarray(1) })).rejects.toThrow(RangeError);
    await expect(pack({ zeroPoints: new Uint8Array(192) })).rejects.toThrow(RangeError);
    await expect(pack({ form: { ...form, zeroPoints: true } })).rejects.toThrow(RangeError);
    await expect(pack({}, 0, 96, new Uint8Array(5))).rejects.toThrow(RangeError);
    for (const [first, last] of [
      [1, 96],
      [0, 31],
      [0, 128],
      [-32, 32],
      [64, 32],
    ])
      await expect(pack({}, first, last)).rejects.toThrow(RangeError);
  });

  test("reserves more memory than there is, of which parts can be seen, and gives pages back as zeros", () => {
    const gib = 2 ** 30;
    const memory = kernels.reserve(64 * gib)!;
    memory.bytes(60 * gib, 3).set([1, 2, 3]);
    expect([...memory.bytes(60 * gib + 1, 3)]).toEqual([2, 3, 0]);
    // Node 20 sees 4 GiB at once, later ones all of it.
    if (constants.MAX_LENGTH < 64 * gib) expect(() => memory.view).toThrow("too many to be seen at once");
    else expect(memory.view.byteLength).toBe(64 * gib);
    expect(() => memory.bytes(64 * gib - 1, 2)).toThrow(RangeError);
    kernels.discard(memory, 60 * gib, 65_536);
    expect([...memory.bytes(60 * gib, 3)]).toEqual([0, 0, 0]);
    expect(() => kernels.discard(memory, 64 * gib - 65_536, 65_537)).toThrow(RangeError);
    memory.dispose();
    memory.dispose();
    expect(() => memory.bytes(0, 1)).toThrow("disposed");
    expect(kernels.reserve(2 ** 52)).toBeNull();
  });

  test("maps a file as it is, and nothing that is missing or shorter", () => {
    const path = join(folder, "ä.bin");
    writeFileSync(path, Uint8Array.from([7, 8, 9]));
    const memory = kernels.mapFile(path, 3)!;
    expect([...memory.bytes(0, 3)]).toEqual([7, 8, 9]);
    memory.dispose();
    expect(kernels.mapFile(path, 4)).toBeNull();
    expect(kernels.mapFile(join(folder, "none"), 1)).toBeNull();
  });
});

const form: MatrixForm = { columns: 96, depth: 128, bits: 4, block: 64, zeroPoints: false, scaleType: 0 };
const matrix: Matrix = {
  form,
  weights: Uint8Array.from({ length: (96 * 128) / 2 }, (_, i) => (i * 37) % 251),
  scales: Float32Array.from({ length: 96 * 2 }, (_, i) => 0.1 + i / 7),
  zeroPoints: null,
};

/** The matrix packed in pieces that end at these columns. */
async function packed(edges: readonly number[]): Promise<Uint8Array> {
  const out = new Uint8Array(kernels.packedBytes(form));
  await Promise.all(edges.slice(1).map((last, i) => kernels.pack(out, matrix, edges[i]!, last)));
  return out;
}
