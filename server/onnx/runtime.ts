// ONNX Runtime, opened through its C API. With c-api.ts, session.ts and memory.ts beside it the only place
// that sees a pointer: everything above takes `Runtime`, `Session`, `Tensor`, `NativeBuffer`, typed arrays and
// `dispose()` from here. It knows nothing of models or tokens.

import koffi from "koffi";
import { type CApi, callAsync, callOut, check, type Done, openCApi, type Pointer } from "./c-api.ts";
import { NativeBuffer, Tensor } from "./memory.ts";
import { Binding, type ElementType, RunControl, Session, type ValueInfo } from "./session.ts";

export { NativeBuffer, Tensor } from "./memory.ts";
export { Binding, type ElementType, RunControl, Session, type ValueInfo } from "./session.ts";

/** Element types that a tensor can be made of here. */
export type TensorType = "float32" | "float16" | "int32" | "int64";
const typeCodes: Readonly<Record<TensorType, number>> = { float32: 1, int32: 6, int64: 7, float16: 10 };
const typeNames: Readonly<Record<number, ElementType>> = { 1: "float32", 6: "int32", 7: "int64", 10: "float16" };
export const itemBytes: Readonly<Record<TensorType, number>> = { float32: 4, int32: 4, int64: 8, float16: 2 };

/** Options of a session; absent means ONNX Runtime's default. */
export interface SessionOptions {
  /** Threads of one operator; the default is one per physical core. */
  readonly intraOpThreads?: number;
  readonly interOpThreads?: number;
  readonly memoryArena?: boolean;
  readonly memoryPattern?: boolean;
  /** 0 none, 1 basic, 2 extended, 99 all. */
  readonly graphOptimization?: number;
  /** Session config entries, e.g. `session.intra_op.allow_spinning`. */
  readonly entries?: Readonly<Record<string, string>>;
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

  /** Loads a model from its bytes; external data is not looked for. @throws OrtError */
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
    return new NativeBuffer(address, koffi.view(address, byteLength), () => {
      check(this.#api, this.#api.free(this.#allocator, address));
    });
  }

  /** A tensor over `buffer` from `byteOffset` on; the buffer outlives it. @throws RangeError when it does not fit */
  tensor(buffer: NativeBuffer, byteOffset: number, type: TensorType, dims: readonly number[]): Tensor {
    const byteLength = dims.reduce((product, dim) => product * dim, itemBytes[type]);
    if (byteOffset < 0 || byteOffset + byteLength > buffer.byteLength) {
      throw new RangeError(`[${dims}] of ${type} at byte ${byteOffset} does not fit ${buffer.byteLength} bytes.`);
    }
    const data = buffer.address + BigInt(byteOffset);
    const shape = BigInt64Array.from(dims, BigInt);
    const args = [this.#memoryInfo, data, byteLength, shape, dims.length, typeCodes[type]];
    const pointer = callOut(this.#api, this.#api.createTensor, ...args);
    return new Tensor(pointer, buffer, () => this.#api.releaseValue(pointer));
  }

  /** Lays out the names of a run; fill every slot before `Session.run`. */
  bind(inputNames: readonly string[], outputNames: readonly string[]): Binding {
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
    return new Binding(sizes, arrays, memory);
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
      if (options.memoryArena === false) check(api, api.disableCpuMemArena(native));
      if (options.memoryPattern === false) check(api, api.disableMemPattern(native));
      if (options.graphOptimization !== undefined) {
        check(api, api.setGraphOptimization(native, options.graphOptimization));
      }
      for (const [key, value] of Object.entries(options.entries ?? {})) {
        check(api, api.addSessionConfig(native, key, value));
      }
      const out: (Pointer | null)[] = [null];
      await callAsync(api, (done) => create(native, out, done));
      const session = out[0] as Pointer;
      try {
        return new Session(api, session, this.#describe(session));
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
      return { type: typeNames[code] ?? `type${code}`, dims };
    } finally {
      api.releaseTypeInfo(info);
    }
  }
}
