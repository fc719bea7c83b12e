// ONNX Runtime, opened through its C API. With c-api.ts, session.ts, memory.ts, values.ts, kernels.ts and kv-pool.ts
// beside it the only place that sees a pointer: everything above takes `Runtime`, `Session`, `Tensor`, `NativeBuffer`,
// typed arrays and `dispose()` from here. It knows nothing of models or tokens.

import koffi from "koffi";
import { type CApi, callAsync, callOut, check, type Done, openCApi, type Pointer } from "./c-api.ts";
import { itemBytes, type TensorType, typeCode, typeOfCode } from "./element-types.ts";
import type { Kernels } from "./kernels.ts";
import { HeldBytes, NativeBuffer, Tensor } from "./memory.ts";
import { Binding, RunControl, Session, type ValueInfo } from "./session.ts";
import { readValue, stringValue, type Value } from "./values.ts";

export { type ElementType, itemBytes, type TensorType } from "./element-types.ts";
export { NativeBuffer, Tensor } from "./memory.ts";
export { Binding, RunControl, Session, type ValueInfo } from "./session.ts";
export type { Value } from "./values.ts";

type NumberType = Exclude<TensorType, "string">;

/** Options of a session; absent means ONNX Runtime's default. */
export interface SessionOptions {
  /** Threads of one operator; the default is one per physical core. */
  readonly intraOpThreads?: number;
  readonly interOpThreads?: number;
  readonly memoryArena?: boolean;
  readonly memoryPattern?: boolean;
  /** Whether operators that do not depend on each other may run at the same time. */
  readonly parallel?: boolean;
  /** 0 none, 1 basic, 2 extended, 3 layout, 99 all. */
  readonly graphOptimization?: number;
  /** Session config entries, e.g. `session.intra_op.allow_spinning`. */
  readonly entries?: Readonly<Record<string, string>>;
  /** Whose operators the graph may use beside ONNX Runtime's own. */
  readonly operators?: Kernels;
  /** Weights in place of those of the same names in the model, used where they lie. Their tensors outlive the session. */
  readonly initializers?: readonly { readonly name: string; readonly tensor: Tensor }[];
}

const logFatal = 4; // below it ORT prints kernel errors to stderr, which reach us as a status anyway

/** The library in this thread. Close it last, after every session, buffer and tensor. */
export class Runtime {
  readonly version: string;
  readonly #api: CApi;
  readonly #env: Pointer;
  readonly #allocator: Pointer;
  readonly #memoryInfo: Pointer;
  #closed = false;

  /** @throws RuntimeUnavailableError where the platform has no library, or another version is installed */
  constructor() {
    const api = openCApi();
    this.#api = api;
    this.version = api.version;
    this.#env = callOut(api, api.createEnv, logFatal, "modelwire");
    this.#allocator = callOut(api, api.defaultAllocator);
    this.#memoryInfo = callOut(api, api.createMemoryInfo, 1, 0); // OrtArenaAllocator, OrtMemTypeDefault
  }

  /** Loads a model file, with its external data beside it, without blocking this thread. @throws OrtError */
  openSession(path: string, options: SessionOptions = {}): Promise<Session> {
    return this.#open(options, (native, out, done) =>
      this.#api.createSession.async(this.#env, path, native, out, done),
    );
  }

  /**
   * Loads a model from its bytes. External data is looked for in the folder that the session entry
   * `session.model_external_initializers_file_folder_path` names, else nowhere. @throws OrtError
   */
  async openSessionFromBytes(bytes: Uint8Array, options: SessionOptions = {}): Promise<Session> {
    const copy = this.allocate(bytes.length);
    try {
      new Uint8Array(copy.view).set(bytes);
      return await this.#open(options, (native, out, done) =>
        this.#api.createSessionFromArray.async(this.#env, copy.address, bytes.length, native, out, done),
      );
    } finally {
      copy.dispose();
    }
  }

  /** Memory outside the JavaScript heap. @throws OrtError when there is none */
  allocate(byteLength: number): NativeBuffer {
    const address = callOut(this.#api, this.#api.allocate, this.#allocator, byteLength);
    return new NativeBuffer(address, byteLength, () => {
      check(this.#api, this.#api.free(this.#allocator, address));
    });
  }

  /** A tensor over `buffer` from `byteOffset` on; the buffer outlives it. @throws RangeError when it does not fit */
  tensor(buffer: NativeBuffer, byteOffset: number, type: NumberType, dims: readonly number[]): Tensor {
    const byteLength = dims.reduce((product, dim) => product * dim, itemBytes[type]);
    if (byteOffset < 0 || byteOffset + byteLength > buffer.byteLength) {
      throw new RangeError(`[${dims}] of ${type} at byte ${byteOffset} does not fit ${buffer.byteLength} bytes.`);
    }
    return this.#tensor(buffer, buffer.address + BigInt(byteOffset), byteLength, type, dims);
  }

  /**
   * A tensor over the bytes as they are, which must not be detached or changed while it lives.
   * @throws RangeError when they do not lie at a multiple of the item's width, or are not those of the dimensions
   */
  tensorOver(bytes: Uint8Array, type: NumberType, dims: readonly number[]): Tensor {
    const byteLength = dims.reduce((product, dim) => product * dim, itemBytes[type]);
    if (byteLength !== bytes.length) throw new RangeError(`[${dims}] of ${type} does not have ${bytes.length} bytes.`);
    // ORT refuses a null pointer, which is where an empty array lies.
    const held = new HeldBytes(byteLength > 0 ? bytes : new Uint8Array(8));
    const address = koffi.address(held.bytes);
    if (address % BigInt(itemBytes[type]) !== 0n) throw new RangeError(`A tensor of ${type} at ${address} is crooked.`);
    return this.#tensor(held, address, byteLength, type, dims);
  }

  /** A tensor of texts, which are copied. @throws RangeError when they are not as many as the dimensions say */
  stringTensor(texts: readonly string[], dims: readonly number[]): Tensor {
    const size = dims.reduce((product, dim) => product * dim, 1);
    if (size !== texts.length) throw new RangeError(`[${dims}] does not have ${texts.length} texts.`);
    const pointer = stringValue(this.#api, this.#allocator, texts, dims);
    return new Tensor(pointer, new HeldBytes(new Uint8Array()), () => this.#api.releaseValue(pointer));
  }

  /** What ORT made in the last run of `binding`, copied out once; frees it. */
  async takeOutputs(binding: Binding): Promise<Value[]> {
    const made = binding.takeMade();
    try {
      const values: Value[] = [];
      for (const pointer of made) values.push(await readValue(this.#api, this.#allocator, pointer));
      return values;
    } finally {
      for (const pointer of made) this.#api.releaseValue(pointer);
    }
  }

  /**
   * Lays out the names of a run; fill every slot before `Session.run`.
   * @param outputs "made": ORT makes them, and `takeOutputs` reads them
   */
  bind(
    inputNames: readonly string[],
    outputNames: readonly string[],
    { outputs = "given" }: { outputs?: "given" | "made" } = {},
  ): Binding {
    const memory: NativeBuffer[] = [];
    const own = (byteLength: number) => {
      const buffer = this.allocate(Math.max(byteLength, 8));
      memory.push(buffer);
      return buffer;
    };
    const pointers = (names: readonly string[]) => {
      const list = own(8 * names.length);
      const slots = new BigUint64Array(list.view, 0, names.length);
      names.forEach((name, index) => {
        const bytes = Buffer.from(`${name}\0`);
        const text = own(bytes.length);
        new Uint8Array(text.view).set(bytes);
        slots[index] = text.address;
      });
      return list.address;
    };
    const sizes = { inputs: inputNames.length, outputs: outputNames.length };
    const arrays = {
      inputNames: pointers(inputNames),
      inputValues: own(8 * sizes.inputs),
      outputNames: pointers(outputNames),
      outputValues: own(8 * sizes.outputs),
    };
    new Uint8Array(arrays.outputValues.view).fill(0);
    return new Binding(sizes, arrays, memory, outputs === "made");
  }

  runControl(): RunControl {
    return new RunControl(this.#api, callOut(this.#api, this.#api.createRunOptions));
  }

  /** Releases the environment. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#api.releaseMemoryInfo(this.#memoryInfo);
    this.#api.releaseEnv(this.#env);
  }

  #tensor(
    memory: NativeBuffer | HeldBytes,
    address: Pointer,
    byteLength: number,
    type: NumberType,
    dims: readonly number[],
  ): Tensor {
    const shape = BigInt64Array.from(dims.length > 0 ? dims : [0], BigInt); // never empty: a null pointer is refused
    const args = [this.#memoryInfo, address, byteLength, shape, dims.length, typeCode(type)];
    const pointer = callOut(this.#api, this.#api.createTensor, ...args);
    return new Tensor(pointer, memory, () => this.#api.releaseValue(pointer));
  }

  async #open(
    options: SessionOptions,
    create: (native: Pointer, out: unknown[], done: Done) => void,
  ): Promise<Session> {
    const api = this.#api;
    const native = callOut(api, api.createSessionOptions);
    try {
      check(api, api.setSessionLogSeverity(native, logFatal));
      if (options.intraOpThreads) check(api, api.setIntraOpThreads(native, options.intraOpThreads));
      if (options.interOpThreads) check(api, api.setInterOpThreads(native, options.interOpThreads));
      if (options.parallel) check(api, api.setExecutionMode(native, 1)); // ORT_PARALLEL
      if (options.memoryArena === false) check(api, api.disableCpuMemArena(native));
      if (options.memoryPattern === false) check(api, api.disableMemPattern(native));
      if (options.graphOptimization !== undefined) {
        check(api, api.setGraphOptimization(native, options.graphOptimization));
      }
      for (const [key, value] of Object.entries(options.entries ?? {})) {
        check(api, api.addSessionConfig(native, key, value));
      }
      if (options.operators) check(api, options.operators.register(native, api.apiBase));
      const initializers = options.initializers ?? [];
      for (const { name, tensor } of initializers) check(api, api.addInitializer(native, name, tensor.pointer));
      const out: (Pointer | null)[] = [null];
      await callAsync(api, (done) => create(native, out, done));
      const session = out[0] as Pointer;
      try {
        const held = initializers.map(({ tensor }) => tensor);
        return new Session(api, session, this.#describe(session), held);
      } catch (error) {
        api.releaseSession(session);
        throw error;
      }
    } finally {
      api.releaseSessionOptions(native);
    }
  }

  #describe(session: Pointer): { inputs: ValueInfo[]; outputs: ValueInfo[] } {
    const api = this.#api;
    const list = (count: Pointer, nameOf: CApi["inputName"], infoOf: CApi["inputTypeInfo"]) =>
      Array.from({ length: Number(count) }, (_, index) => {
        const namePointer = callOut(api, nameOf, session, index, this.#allocator);
        const name = koffi.decode.string(namePointer);
        check(api, api.free(this.#allocator, namePointer));
        return { name, ...this.#describeType(callOut(api, infoOf, session, index)) };
      });
    return {
      inputs: list(callOut(api, api.inputCount, session), api.inputName, api.inputTypeInfo),
      outputs: list(callOut(api, api.outputCount, session), api.outputName, api.outputTypeInfo),
    };
  }

  #describeType(info: Pointer): Pick<ValueInfo, "type" | "dims"> {
    const api = this.#api;
    try {
      const kind = Number(callOut(api, api.onnxType, info));
      if (kind !== 1) return { type: `type${-kind}`, dims: [] }; // a sequence, a map, an optional
      const tensor = callOut(api, api.castToTensorInfo, info);
      const code = Number(callOut(api, api.elementType, tensor));
      const rank = Number(callOut(api, api.dimCount, tensor));
      const sizes = new BigInt64Array(rank + 1); // never empty: a null pointer is refused
      const names = new BigUint64Array(rank + 1);
      check(api, api.dims(tensor, sizes, rank));
      check(api, api.symbolicDims(tensor, names, rank));
      const dims = Array.from({ length: rank }, (_, i) => {
        const size = Number(sizes[i]);
        return size >= 0 ? size : names[i] ? koffi.decode.string(names[i]) : "";
      });
      return { type: typeOfCode(code), dims };
    } finally {
      api.releaseTypeInfo(info);
    }
  }
}
