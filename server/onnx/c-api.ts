// The table of ONNX Runtime's C functions, decoded through koffi, and the three ways to call one. Sees raw
// pointers, as only `runtime.ts`, `session.ts`, `memory.ts`, `values.ts`, `kernels.ts` and `kv-pool.ts` do beside it;
// nothing else may import it.
//
// Why not onnxruntime-node's own binding: it copies every fetched output (the whole KV cache per token), and
// blocks the event loop for the whole run. Five guards are needed in exchange, each marked where it is kept:
//   Guard 1  the library handle stays referenced: koffi unloads a collected one under the feet of its functions
//   Guard 2  koffi's asynchronous stack is raised: opening a session overflows the default 128 KiB
//   Guard 3  telemetry is off before the first call (telemetry.ts)
//   Guard 4  native lifetimes are ours: ORT's own memory, runs counted before a release, releases idempotent
//   Guard 5  the exact library version is checked, for a wrong signature is a crash and not an exception

import koffi from "koffi";
import { OrtError, RuntimeUnavailableError } from "./errors.ts";
import { libraryPath, pinnedVersion } from "./library.ts";
import { assertTelemetryDisabled } from "./telemetry.ts";

export type Pointer = bigint;
type Status = Pointer | null;
/** Ends an asynchronous call: the error of the call itself, or the status that it returned. */
export type Done = (error: Error | null, status: Status) => void;
/** A C function that returns a status; `async` runs it on a thread of libuv's pool. */
type StatusFunction = ((...args: unknown[]) => Status) & { async(...args: [...unknown[], Done]): void };
export type CApi = ReturnType<typeof loadCApi>;

const apiVersion = 17; // the lowest that has every function used here; slots of OrtApi are append-only
const asyncStackBytes = 2 * 1024 * 1024;

// Guard 1: module level, for the life of the thread.
let library: ReturnType<typeof koffi.load> | undefined;

let opened: ReturnType<typeof loadCApi> | undefined;

/** The functions of the library, opened once per thread. @throws RuntimeUnavailableError */
export function openCApi(): CApi {
  opened ??= loadCApi();
  return opened;
}

function loadCApi() {
  // Once only: koffi refuses to be configured after it has loaded a library.
  koffi.config({ ...koffi.config(), async_stack_size: asyncStackBytes }); // Guard 2
  assertTelemetryDisabled(); // Guard 3
  try {
    library ??= koffi.load(libraryPath());
  } catch (error) {
    if (error instanceof RuntimeUnavailableError) throw error;
    throw new RuntimeUnavailableError(`ONNX Runtime's library could not be loaded: ${(error as Error).message}`);
  }
  const apiBase = library.func("void *OrtGetApiBase()")() as Pointer;
  const base = koffi.decode(apiBase, koffi.array("void *", 2)) as Pointer[];
  const version = koffi.decode(base[1], koffi.proto("const char *()"))() as string;
  const api = koffi.decode(base[0], koffi.proto("void *(uint32_t)"))(apiVersion) as Pointer | null;
  if (version !== pinnedVersion || !api) {
    // Guard 5
    throw new RuntimeUnavailableError(
      `ONNX Runtime ${version} is installed, ${pinnedVersion} is needed. Install onnxruntime-node ${pinnedVersion}.`,
    );
  }
  const table = koffi.decode(api, koffi.array("void *", 151)) as Pointer[];
  const slot = (index: number, signature: string) => koffi.decode(table[index], koffi.proto(signature));
  const status = (index: number, args: string) => slot(index, `void *(${args})`) as StatusFunction;
  const releaser = (index: number) => slot(index, "void(void *)") as (pointer: Pointer) => void;
  const pathType = process.platform === "win32" ? "const char16_t *" : "const char *"; // ORTCHAR_T
  return {
    version,
    apiBase,
    errorCode: slot(1, "int(void *)") as (status: Pointer) => number,
    errorMessage: slot(2, "const char *(void *)") as (status: Pointer) => string,
    createEnv: status(3, "int, const char *, _Out_ void **"),
    createSession: status(7, `void *, ${pathType}, void *, _Out_ void **`),
    createSessionFromArray: status(8, "void *, void *, size_t, void *, _Out_ void **"),
    run: status(9, "void *, void *, void *, void *, size_t, void *, size_t, void *"),
    createSessionOptions: status(10, "_Out_ void **"),
    setExecutionMode: status(13, "void *, int"),
    disableMemPattern: status(17, "void *"),
    disableCpuMemArena: status(19, "void *"),
    setSessionLogSeverity: status(22, "void *, int"),
    setGraphOptimization: status(23, "void *, int"),
    setIntraOpThreads: status(24, "void *, int"),
    setInterOpThreads: status(25, "void *, int"),
    inputCount: status(30, "void *, _Out_ size_t *"),
    outputCount: status(31, "void *, _Out_ size_t *"),
    inputTypeInfo: status(33, "void *, size_t, _Out_ void **"),
    outputTypeInfo: status(34, "void *, size_t, _Out_ void **"),
    inputName: status(36, "void *, size_t, void *, _Out_ void **"),
    outputName: status(37, "void *, size_t, void *, _Out_ void **"),
    createRunOptions: status(39, "_Out_ void **"),
    setTerminate: status(46, "void *"),
    unsetTerminate: status(47, "void *"),
    createOwnTensor: status(48, "void *, const int64_t *, size_t, int, _Out_ void **"),
    createTensor: status(49, "void *, void *, size_t, const int64_t *, size_t, int, _Out_ void **"),
    tensorData: status(51, "void *, _Out_ void **"),
    fillStrings: status(52, "void *, void *, size_t"),
    stringBytes: status(53, "void *, _Out_ size_t *"),
    strings: status(54, "void *, void *, size_t, void *, size_t"),
    castToTensorInfo: status(55, "void *, _Out_ void **"),
    onnxType: status(56, "void *, _Out_ int *"),
    elementType: status(60, "void *, _Out_ int *"),
    dimCount: status(61, "void *, _Out_ size_t *"),
    dims: status(62, "void *, void *, size_t"),
    symbolicDims: status(63, "void *, void *, size_t"),
    tensorInfo: status(65, "void *, _Out_ void **"),
    valueKind: status(67, "void *, _Out_ int *"),
    createMemoryInfo: status(69, "int, int, _Out_ void **"),
    allocate: status(75, "void *, size_t, _Out_ void **"),
    free: status(76, "void *, void *"),
    defaultAllocator: status(78, "_Out_ void **"),
    part: status(80, "void *, int, void *, _Out_ void **"),
    partCount: status(81, "void *, _Out_ size_t *"),
    releaseEnv: releaser(92),
    releaseStatus: releaser(93),
    releaseMemoryInfo: releaser(94),
    releaseSession: releaser(95),
    releaseValue: releaser(96),
    releaseRunOptions: releaser(97),
    releaseTypeInfo: releaser(98),
    releaseTensorInfo: releaser(99),
    releaseSessionOptions: releaser(100),
    addSessionConfig: status(130, "void *, const char *, const char *"),
    addInitializer: status(150, "void *, const char *, void *"),
  };
}

/** Turns a status into an exception and releases it. @throws OrtError */
export function check(api: CApi, status: Status): void {
  if (!status) return;
  const error = new OrtError(api.errorMessage(status), api.errorCode(status));
  api.releaseStatus(status);
  throw error;
}

/** Calls a function whose last argument is an out parameter, and returns that. @throws OrtError */
export function callOut(api: CApi, call: StatusFunction, ...args: unknown[]): Pointer {
  const out: Status[] = [null];
  check(api, call(...args, out));
  return out[0] as Pointer;
}

/** Awaits a call made on another thread; `start` passes `done` as the last argument. @throws OrtError */
export function callAsync(api: CApi, start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error, status) => {
      try {
        if (error) throw error;
        check(api, status);
        resolve();
      } catch (thrown) {
        reject(thrown);
      }
    });
  });
}
