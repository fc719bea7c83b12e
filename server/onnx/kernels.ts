// Our own library of operators (the package @modelwire/kernels), called through koffi: int4 products, paged attention,
// and the memory that both work on. Sees raw pointers, as c-api.ts and those beside it; above it there are numbers, bytes
// and `NativeBuffer`. It knows nothing of models, tokens or files' contents.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import koffi, { type LibraryHandle } from "koffi";
import { openCApi, type Pointer } from "./c-api.ts";
import { OrtError } from "./errors.ts";
import { NativeBuffer } from "./memory.ts";

/** How keys and values are stored. */
export type KvType = keyof typeof kvTypes;

/** MW_KV_… of attention.h. */
export const kvTypes = { f32: 0, f16: 1, int8: 2 } as const;

/** What a packed matrix looks like: [columns, depth], in blocks along the depth. */
export interface MatrixForm {
  readonly columns: number;
  readonly depth: number;
  readonly bits: 4 | 8;
  /** Values that share a scale: 16, 32, 64 or 128. */
  readonly block: number;
  readonly zeroPoints: boolean;
  /** What `scaleType` says of the scales: MW_SCALE_… of matmul.h. */
  readonly scaleType: number;
}

/** A matrix in the layout of ONNX Runtime's MatMulNBits, scales as float32. */
export interface Matrix {
  readonly form: MatrixForm;
  readonly weights: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array | null;
}

/** The library, or why there is none here; a model is then served by ONNX Runtime's own operators. */
export type KernelsFound = { readonly kernels: Kernels } | { readonly kernels: null; readonly reason: string };

const packageName = "@modelwire/kernels";
const fileNames: Readonly<Record<string, string>> = {
  "linux-x64": "libmodelwire.so",
  "linux-arm64": "libmodelwire.so",
  "darwin-arm64": "libmodelwire.dylib",
  "darwin-x64": "libmodelwire.dylib",
  "win32-x64": "modelwire.dll",
};
/** ORT_FAIL */
const failed = 1;

/** Guard 1 of c-api.ts: module level, for the life of the thread. */
let library: LibraryHandle | undefined;
let opened: Kernels | undefined;

/**
 * Opens the library, once per thread.
 * @throws RuntimeUnavailableError where there is no ONNX Runtime either
 */
export function openKernels(): KernelsFound {
  if (opened) return { kernels: opened };
  const found = kernelsPath();
  if (found.path === null) return { kernels: null, reason: found.reason };
  openCApi(); // its configuration of koffi must come before any library (guard 2)
  try {
    library ??= koffi.load(found.path);
    opened = new Kernels(functionsOf(library));
    return { kernels: opened };
  } catch (error) {
    return { kernels: null, reason: `The library of ${packageName} could not be loaded: ${(error as Error).message}` };
  }
}

/** Where the library of a platform lies, or why it does not. */
export function kernelsPath(
  platform: string = process.platform,
  arch: string = process.arch,
): { readonly path: string } | { readonly path: null; readonly reason: string } {
  const fileName = fileNames[`${platform}-${arch}`];
  if (fileName === undefined) return { path: null, reason: `${packageName} has no library for ${platform} ${arch}.` };
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`));
  } catch {
    return { path: null, reason: `The package ${packageName} is not installed.` };
  }
  const path = join(folder, "prebuilt", `${platform}-${arch}`, fileName);
  if (existsSync(path)) return { path };
  return { path: null, reason: `${packageName} is installed without ${fileName} for ${platform} ${arch}.` };
}

export class Kernels {
  /** Of packed weights; another one means other bytes. */
  readonly layoutVersion: number;
  /** Families of processors whose code this one runs, best first. */
  readonly variants: readonly string[];
  readonly #functions: Functions;

  /** For `openKernels` alone. */
  constructor(functions: Functions) {
    this.#functions = functions;
    this.layoutVersion = functions.layoutVersion();
    this.variants = functions.variants().split(" ");
  }

  /** The one in use. */
  get variant(): string {
    return this.#functions.variant();
  }

  /** Takes another one, in the whole process, from the next run on. The results have the same bits. @throws RangeError */
  chooseVariant(name: string): void {
    if (this.#functions.chooseVariant(name) !== 0)
      throw new RangeError(`This processor runs ${this.variants.join(", ")}, not ${name}.`);
  }

  /** Bytes of a packed matrix; -1 when there is no operator for its form. */
  packedBytes({ columns, depth, bits, block, zeroPoints, scaleType }: MatrixForm): number {
    return this.#functions.packedBytes(columns, depth, bits, block, Number(zeroPoints), scaleType);
  }

  /** The smallest form that holds every one of the scales exactly. */
  scaleType(scales: Float32Array): number {
    return this.#functions.scaleType(koffi.address(scales), scales.length);
  }

  /**
   * Packs columns `first` to `last` - 1 on another thread; both are multiples of 32, or `last` is the end. Pieces of one
   * matrix may be packed at the same time. None of the memory may change meanwhile.
   * @param out [packedBytes], all of the matrix; only what belongs to the columns is written
   * @throws RangeError when anything is not as long as the form says
   */
  async pack(out: Uint8Array, matrix: Matrix, first: number, last: number): Promise<void> {
    const { form, weights, scales, zeroPoints } = matrix;
    const { columns, depth, bits, block, scaleType } = form;
    const blocks = Math.ceil(depth / block);
    const zeroPointBytes = form.zeroPoints ? columns * Math.ceil((blocks * bits) / 8) : undefined;
    for (const [what, found, needed] of [
      ["packed bytes", out.length, this.packedBytes(form)],
      ["bytes of weights", weights.length, (columns * blocks * block * bits) / 8],
      ["scales", scales.length, columns * blocks],
      ["bytes of zero points", zeroPoints?.length, zeroPointBytes],
    ] as const)
      if (found !== needed) throw new RangeError(`A matrix has ${found} ${what}; it needs ${needed}.`);
    if (first < 0 || first > last || last > columns || first % 32 !== 0 || (last % 32 !== 0 && last !== columns))
      throw new RangeError(`Columns ${first} to ${last} of ${columns} cannot be packed.`);
    const held = [out, weights, scales, zeroPoints];
    const addresses = held.map((bytes) => bytes && koffi.address(bytes));
    const code = await new Promise<number>((resolve, reject) => {
      const numbers = [columns, depth, bits, block, scaleType, first, last];
      this.#functions.pack.async(...addresses, ...numbers, (error: Error | null, result: number) =>
        error ? reject(error) : resolve(result),
      );
    });
    // Naming `held` here keeps it reachable, and so in its place, up to the end of the call.
    if (code !== 0) throw new RangeError(`A matrix of ${columns} × ${depth} in ${held.length} parts was not packed.`);
  }

  /** Bytes that a layer of one block of tokens takes in the cache; -1 when attention does not take the shape. */
  kvLayerBytes(kvHeads: number, headSize: number, type: KvType): number {
    return this.#functions.kvLayerBytes(kvHeads, headSize, kvTypes[type]);
  }

  /** The first bytes of a file, shared with every process that maps it and not to be written; null when that fails. */
  mapFile(path: string, byteLength: number): NativeBuffer | null {
    return this.#pages(this.#functions.mapFile(path, byteLength), byteLength);
  }

  /** Zeros that cost memory only where they are written; null when the address space is not to be had. */
  reserve(byteLength: number): NativeBuffer | null {
    return this.#pages(this.#functions.reserve(byteLength), byteLength);
  }

  /** Makes whole pages of reserved memory zeros that cost nothing again. @throws RangeError, OrtError */
  discard(buffer: NativeBuffer, byteOffset: number, byteLength: number): void {
    if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > buffer.byteLength)
      throw new RangeError(`${byteLength} bytes at ${byteOffset} do not lie within ${buffer.byteLength}.`);
    if (this.#functions.discard(buffer.address + BigInt(byteOffset), byteLength) !== 0)
      throw new OrtError("Memory was not taken back.", failed);
  }

  /** For `runtime.ts` alone. @returns a status of ONNX Runtime's, or null */
  register(options: Pointer, apiBase: Pointer): Pointer | null {
    return this.#functions.register(options, apiBase);
  }

  #pages(address: Pointer | null, byteLength: number): NativeBuffer | null {
    if (!address) return null;
    return new NativeBuffer(address, byteLength, () => {
      if (this.#functions.unmap(address, byteLength) !== 0) throw new OrtError("Memory was not given back.", failed);
    });
  }
}

type Functions = ReturnType<typeof functionsOf>;

function functionsOf(lib: LibraryHandle) {
  const bind = <F>(declaration: string) => lib.func(declaration) as F;
  return {
    layoutVersion: bind<() => number>("int mw_layout_version()"),
    variants: bind<() => string>("const char *mw_variants()"),
    variant: bind<() => string>("const char *mw_variant()"),
    chooseVariant: bind<(name: string) => number>("int mw_choose_variant(const char *)"),
    register: bind<(options: Pointer, base: Pointer) => Pointer | null>("void *mw_register(void *, void *)"),
    mapFile: bind<(path: string, bytes: number) => Pointer | null>("void *mw_map_file(const char *, int64_t)"),
    reserve: bind<(bytes: number) => Pointer | null>("void *mw_reserve(int64_t)"),
    unmap: bind<(address: Pointer, bytes: number) => number>("int mw_unmap(void *, int64_t)"),
    discard: bind<(address: Pointer, bytes: number) => number>("int mw_discard(void *, int64_t)"),
    packedBytes: bind<(...shape: number[]) => number>(
      "int64_t mw_packed_bytes(int64_t columns, int64_t depth, int bits, int block, int zero_points, int scale_type)",
    ),
    scaleType: bind<(scales: Pointer, count: number) => number>("int mw_scale_type(void *, int64_t)"),
    pack: bind<{ async(...args: unknown[]): void }>(
      "int mw_pack(void *out, void *weights, void *scales, void *zero_points, int64_t columns, int64_t depth, " +
        "int bits, int block, int scale_type, int64_t first_column, int64_t last_column)",
    ),
    kvLayerBytes: bind<(kvHeads: number, headSize: number, type: number) => number>(
      "int64_t mw_kv_layer_bytes(int64_t, int64_t, int)",
    ),
  };
}
