// A plain ONNX graph: tensors in, and out whatever it gives. It checks what it is fed and reports everything that is
// wrong; runs on one graph may overlap. It knows no rows, no columns and no model folder.

import { stat } from "node:fs/promises";
import { itemBytes, onnxName, type TensorType, typeOfOnnxName } from "./element-types.ts";
import {
  GraphInputError,
  ModelFolderError,
  OrtError,
  RunTerminatedError,
  refusalOf,
  type Violation,
} from "./errors.ts";
import { checkGraphLimits } from "./graph-limits.ts";
import type { GraphOptions, GraphOutput, GraphTensor, GraphValue } from "./graph-types.ts";
import type { Binding, RunControl, Runtime, Session, SessionOptions, Tensor, ValueInfo } from "./runtime.ts";
import { isHarmlessEntry, maxThreads } from "./session-limits.ts";

/** What one run needs besides its tensors; kept for the next. */
interface Slot {
  readonly binding: Binding;
  readonly control: RunControl;
}

export class Graph {
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly warnings: readonly string[];
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #idle: Slot[] = [];
  #disposed = false;

  private constructor(runtime: Runtime, session: Session, unshaped: ReadonlySet<string>, warnings: readonly string[]) {
    this.#runtime = runtime;
    this.#session = session;
    this.inputs = session.inputs.map((value) => graphValue(value, unshaped));
    this.outputs = session.outputs.map((value) => graphValue(value, unshaped));
    this.warnings = warnings;
  }

  /** Loads a graph with its external data beside it. The caller disposes it. @throws ModelFolderError with every violation */
  static async open(runtime: Runtime, path: string, options: GraphOptions = {}): Promise<Graph> {
    const warnings: string[] = [];
    if (!(await stat(path).catch(() => undefined))?.isFile())
      throw new ModelFolderError("The graph cannot be loaded.", [{ field: "graph", description: "is no file." }]);
    const { unshaped } = checkGraphLimits(path);
    const session = await runtime.openSession(path, sessionOptions(options, warnings)).catch((error: unknown) => {
      if (!(error instanceof OrtError)) throw error;
      throw new ModelFolderError("The graph cannot be loaded.", [
        { field: "graph", description: refusalOf(error, path) },
      ]);
    });
    const violations = [
      ...[...session.inputs, ...session.outputs].filter(isAbsurd).map(({ name }) => ({
        field: name,
        description: "has a dimension larger than any tensor.",
      })),
      ...session.inputs.filter(({ type }) => !isTensor(type)).map((value) => notServable("input", value)),
      ...session.outputs.filter(({ type }) => !isReadable(type)).map((value) => notServable("output", value)),
    ];
    if (violations.length === 0) return new Graph(runtime, session, unshaped, warnings);
    await session.dispose();
    throw new ModelFolderError("The graph cannot be served.", violations);
  }

  /**
   * Runs the graph once, on another thread. The bytes of `feeds` are read in place where they lie straight, and moved to
   * the beginning of their buffer where they do not: nobody else may use them meanwhile, or afterwards.
   * @throws GraphInputError with every violation, or with ONNX Runtime's words; the signal's reason after an abort
   */
  async run(feeds: readonly GraphTensor[], signal: AbortSignal): Promise<GraphOutput[]> {
    const ordered = checkFeeds(this.inputs, feeds);
    signal.throwIfAborted();
    const slot = this.#idle.pop() ?? this.#newSlot();
    const tensors: Tensor[] = [];
    const terminate = () => slot.control.terminate();
    signal.addEventListener("abort", terminate, { once: true });
    try {
      for (const [index, feed] of ordered.entries()) {
        const tensor = this.#tensor(feed);
        tensors.push(tensor);
        slot.binding.setInput(index, tensor);
      }
      await this.#session.run(slot.binding, slot.control);
      const values = await this.#runtime.takeOutputs(slot.binding);
      return values.map((value, index) => ({ name: this.outputs[index]?.name ?? "", ...value }));
    } catch (error) {
      if (error instanceof RunTerminatedError) throw signal.reason;
      if (!(error instanceof OrtError)) throw error;
      throw new GraphInputError([{ field: "input", description: `ONNX Runtime refuses it: ${error.message}` }]);
    } finally {
      signal.removeEventListener("abort", terminate);
      slot.control.reset();
      slot.binding.clear();
      for (const tensor of tensors) tensor.dispose();
      if (this.#disposed) this.#free(slot);
      else this.#idle.push(slot);
    }
  }

  /** Waits for the runs in flight, then frees everything. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#session.dispose();
    for (const slot of this.#idle.splice(0)) this.#free(slot);
  }

  #newSlot(): Slot {
    const names = (values: readonly GraphValue[]) => values.map(({ name }) => name);
    return {
      binding: this.#runtime.bind(names(this.inputs), names(this.outputs), { outputs: "made" }),
      control: this.#runtime.runControl(),
    };
  }

  #free({ binding, control }: Slot): void {
    binding.dispose();
    control.dispose();
  }

  #tensor({ type, dims, data }: CheckedFeed): Tensor {
    if (type === "string") return this.#runtime.stringTensor(data as readonly string[], dims);
    return this.#runtime.tensorOver(straightened(data as Uint8Array, itemBytes[type]), type, dims);
  }
}

interface CheckedFeed {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

/** The feeds in the order of the inputs. @throws GraphInputError with every violation */
function checkFeeds(inputs: readonly GraphValue[], feeds: readonly GraphTensor[]): CheckedFeed[] {
  const violations: Violation[] = [];
  const byName = new Map<string, GraphTensor>();
  const known = new Set(inputs.map(({ name }) => name));
  for (const feed of feeds) {
    const refuse = (description: string) => violations.push({ field: feed.name, description });
    if (!known.has(feed.name)) refuse(`is no input of the graph, which has ${listed(inputs)}.`);
    else if (byName.has(feed.name)) refuse("is fed twice.");
    byName.set(feed.name, feed);
  }
  const ordered = inputs.flatMap((input) => {
    const feed = byName.get(input.name);
    if (feed === undefined) {
      violations.push({ field: input.name, description: `is missing: the graph needs ${described(input)}.` });
      return [];
    }
    const [type, problems] = feedProblems(input, feed);
    violations.push(...problems.map((description) => ({ field: input.name, description })));
    return type === undefined ? [] : [{ type, dims: feed.dims, data: feed.data }];
  });
  if (violations.length > 0) throw new GraphInputError(violations);
  return ordered;
}

/** Its type, and what is wrong with it. */
function feedProblems(input: GraphValue, { type: name, dims, data }: GraphTensor): [TensorType | undefined, string[]] {
  const problems: string[] = [];
  const type = typeOfOnnxName(name);
  if (type === undefined || name !== input.type) problems.push(`is ${name}; the graph needs ${described(input)}.`);
  if (input.dims !== null && dims.length !== input.dims.length)
    problems.push(`has ${dims.length} dimensions, [${dims}]; the graph needs ${described(input)}.`);
  else if (input.dims?.some((size, i) => typeof size === "number" && size > 0 && size !== dims[i]))
    problems.push(`has the shape [${dims}]; the graph needs ${described(input)}.`);
  if (dims.some((size) => !Number.isSafeInteger(size) || size < 0)) problems.push(`has the shape [${dims}].`);
  else if (type !== undefined) problems.push(...dataProblems(type, dims, data));
  return [type, problems];
}

function dataProblems(type: TensorType, dims: readonly number[], data: Uint8Array | readonly string[]): string[] {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const form = `a tensor of ${onnxName(type)} and shape [${dims}]`;
  if (type === "string") {
    if (data instanceof Uint8Array) return [`must be a list of strings.`];
    if (data.length !== size) return [`has ${data.length} items; ${form} has ${size}.`];
    const withNul = data.findIndex((text) => text.includes("\0"));
    return withNul < 0 ? [] : [`holds a NUL character in item ${withNul}, which cannot be fed.`];
  }
  if (!(data instanceof Uint8Array)) return [`must be bytes, not strings.`];
  if (data.length !== size * itemBytes[type])
    return [`has ${data.length} bytes; ${form} has ${size * itemBytes[type]}.`];
  return type === "bool" && !isBoolean(data) ? ["is bool, whose bytes are 0 or 1."] : [];
}

/** Other bytes than 0 and 1 are undefined behaviour in ONNX Runtime's kernels. */
function isBoolean(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 1) return false;
  return true;
}

/** The bytes at a multiple of the item's width. Those that are not are moved within their buffer. */
function straightened(bytes: Uint8Array, itemWidth: number): Uint8Array {
  const offset = bytes.byteOffset;
  if (offset % itemWidth === 0) return bytes;
  const moved = new Uint8Array(bytes.buffer, offset - (offset % itemWidth), bytes.length);
  moved.set(bytes);
  return moved;
}

function graphValue({ name, type, dims }: ValueInfo, unshaped: ReadonlySet<string>): GraphValue {
  const kind = type === "type-2" ? "sequence" : type === "type-3" ? "map" : "tensor";
  return { name, kind, type: isTensor(type) ? onnxName(type) : "", dims: unshaped.has(name) ? null : dims };
}

function isTensor(type: string): type is TensorType {
  return type === "string" || Object.hasOwn(itemBytes, type);
}

function isReadable(type: string): boolean {
  return isTensor(type) || type === "type-2" || type === "type-3";
}

/** Such sizes are not even numbers to JavaScript. */
function isAbsurd({ dims }: ValueInfo): boolean {
  return dims.some((size) => typeof size === "number" && !Number.isSafeInteger(size));
}

function notServable(role: string, { name, type }: ValueInfo): Violation {
  const description = `is of a type (${type.replace("type", "number ")}) that cannot be ${role === "input" ? "fed" : "read"} here.`;
  return { field: `${role} ${name}`, description };
}

function described({ type, dims }: GraphValue): string {
  if (dims === null) return `${type} of any shape`;
  return `${type} [${dims.map((dim) => (dim === "" ? "?" : dim)).join(", ")}]`;
}

function listed(inputs: readonly GraphValue[]): string {
  return inputs.map(({ name }) => JSON.stringify(name)).join(", ");
}

function sessionOptions(options: GraphOptions, warnings: string[]): SessionOptions {
  const entries: Record<string, string> = {
    // The extension of the file must not decide how its bytes are read.
    "session.load_model_format": "ONNX",
    // Idle threads that spin take the cores from everything else in the process.
    "session.intra_op.allow_spinning": "0",
    "session.inter_op.allow_spinning": "0",
  };
  for (const [key, value] of Object.entries(options.entries ?? {})) {
    if (isHarmlessEntry(key)) entries[key] = value;
    else warnings.push(`${key} is ignored: it is not among the session entries that only bear on speed.`);
  }
  const threads = (count: number | undefined) => (count === undefined ? undefined : Math.min(count, maxThreads));
  return {
    intraOpThreads: threads(options.threads),
    interOpThreads: threads(options.interOpThreads),
    parallel: options.executionMode === "parallel",
    graphOptimization: options.graphOptimization,
    entries,
  };
}
