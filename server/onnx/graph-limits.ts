// Looks over a graph file before ONNX Runtime does, for what that takes minutes, gigabytes or its stack for: too many
// nodes, functions that call functions that call functions. It reads the outline of the protobuf only and skips every
// weight; whether the graph makes sense is for ONNX Runtime to say. It also tells which inputs have no shape, which the
// C API does not.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { ModelFolderError } from "./errors.ts";

/** Of nodes, and of weights. Loading takes about 40 µs and 3 KB for each node. Large decoders have some thousands. */
const maxNodes = 50_000;
/** Nodes that calls of the model's own functions stand for, which load more slowly. */
const maxInlined = 10_000;
/** Functions that call each other; ONNX Runtime overflows its stack at some hundreds. */
const maxFunctionDepth = 64;
/** Inputs, and outputs. */
export const maxValues = 10_000;
/** Protobuf's own limit on messages in messages. */
const maxDepth = 100;

export interface GraphOutline {
  /** Inputs and outputs whose number of dimensions the file does not say. */
  readonly unshaped: ReadonlySet<string>;
}

/** What a function or the main graph does: nodes of its own, and which operators those are, by how often. */
interface Body {
  nodes: number;
  readonly calls: Map<string, number>;
}

/**
 * @param field what a violation calls the file
 * @throws ModelFolderError when the file goes beyond a limit, or is no protobuf
 */
export function checkGraphLimits(path: string, field = "graph"): GraphOutline {
  const file = openSync(path, "r");
  try {
    return new Outline(new FileWindow(file)).read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ModelFolderError("The graph cannot be loaded.", [{ field, description: error.message }]);
  } finally {
    closeSync(file);
  }
}

type Visit = (field: number, start: number, end: number) => void;

class Outline {
  readonly #bytes: FileWindow;
  readonly #main: Body = { nodes: 0, calls: new Map() };
  readonly #functions = new Map<string, Body>();
  readonly #unshaped = new Set<string>();
  #nodes = 0;
  #weights = 0;
  #inputs = 0;
  #outputs = 0;

  constructor(bytes: FileWindow) {
    this.#bytes = bytes;
  }

  read(): GraphOutline {
    this.#fields(0, this.#bytes.size, (field, start, end) => {
      if (field === 7) this.#graph(start, end, this.#main, 1);
      if (field === 25) this.#function(start, end);
    });
    const inlined = this.#inlined();
    if (inlined > maxInlined)
      throw new RangeError(
        `calls functions that stand for more than ${maxInlined} nodes; at most that many are loaded.`,
      );
    return { unshaped: this.#unshaped };
  }

  /** GraphProto */
  #graph(from: number, to: number, body: Body, depth: number): void {
    if (depth > maxDepth) throw new RangeError(`has more than ${maxDepth} messages in each other.`);
    this.#fields(from, to, (field, start, end) => {
      if (field === 1) this.#node(start, end, body, depth + 1);
      if (field === 5 && ++this.#weights > maxNodes)
        throw new RangeError(`has more than ${maxNodes} weights; at most that many are loaded.`);
      if (depth > 1) return;
      if (field === 11 || field === 12) this.#value(start, end);
      if (field === 11 && ++this.#inputs > maxValues)
        throw new RangeError(`has more than ${maxValues} inputs; at most that many are served.`);
      if (field === 12 && ++this.#outputs > maxValues)
        throw new RangeError(`has more than ${maxValues} outputs; at most that many are served.`);
    });
  }

  /** NodeProto */
  #node(from: number, to: number, body: Body, depth: number): void {
    if (++this.#nodes > maxNodes)
      throw new RangeError(`has more than ${maxNodes} nodes; at most that many are loaded.`);
    body.nodes++;
    const name = { 4: "", 7: "", 8: "" };
    this.#fields(from, to, (field, start, end) => {
      if (field === 4 || field === 7 || field === 8) name[field] = this.#bytes.text(start, end);
      if (field !== 5) return;
      // AttributeProto: a graph, or a list of them
      this.#fields(start, end, (inner, first, last) => {
        if (inner === 6 || inner === 11) this.#graph(first, last, body, depth + 2);
      });
    });
    const called = functionKey(name[7], name[4], name[8]);
    body.calls.set(called, (body.calls.get(called) ?? 0) + 1);
  }

  /** FunctionProto */
  #function(from: number, to: number): void {
    const name = { 1: "", 10: "", 13: "" };
    const body: Body = { nodes: 0, calls: new Map() };
    this.#fields(from, to, (field, start, end) => {
      if (field === 1 || field === 10 || field === 13) name[field] = this.#bytes.text(start, end);
      if (field === 7) this.#node(start, end, body, 2);
    });
    const key = functionKey(name[10], name[1], name[13]);
    const same = this.#functions.get(key);
    this.#functions.set(key, same ? both(same, body) : body);
  }

  /** ValueInfoProto: whether its type, if it is a tensor, has a shape. */
  #value(from: number, to: number): void {
    let name = "";
    let shaped = false;
    this.#fields(from, to, (field, start, end) => {
      if (field === 1) name = this.#bytes.text(start, end, "utf8");
      if (field !== 2) return;
      this.#fields(start, end, (kind, first, last) => {
        if (kind !== 1) return;
        this.#fields(first, last, (inner) => {
          if (inner === 2) shaped = true;
        });
      });
    });
    if (!shaped) this.#unshaped.add(name);
  }

  /** Nodes that the calls of the main graph stand for. */
  #inlined(): number {
    const known = new Map<Body, { nodes: number; depth: number }>();
    const expand = (body: Body, level: number): { nodes: number; depth: number } => {
      const before = known.get(body);
      if (before) return before;
      const sum = { nodes: 0, depth: 0 };
      for (const [called, times] of body.calls) {
        const callee = this.#functions.get(called);
        if (!callee) continue;
        // A function that calls itself gets no further than this either.
        const inner = level < maxFunctionDepth ? expand(callee, level + 1) : { nodes: 0, depth: maxFunctionDepth };
        sum.nodes += times * (callee.nodes + inner.nodes);
        sum.depth = Math.max(sum.depth, 1 + inner.depth);
      }
      if (sum.depth > maxFunctionDepth)
        throw new RangeError(`has functions that call each other more than ${maxFunctionDepth} deep.`);
      known.set(body, sum);
      return sum;
    };
    return expand(this.#main, 0).nodes;
  }

  /** Calls `visit` with each length-delimited field of a message; the others have no part in the outline. */
  #fields(from: number, to: number, visit: Visit): void {
    const bytes = this.#bytes;
    let at = from;
    const varint = () => {
      const { value, end } = bytes.varint(at, to);
      at = end;
      return value;
    };
    while (at < to) {
      const tag = varint();
      if (tag < 8) throw notProtobuf();
      const wire = tag % 8;
      if (wire === 0) varint();
      else if (wire === 1) at += 8;
      else if (wire === 5) at += 4;
      else if (wire === 2) {
        const length = varint();
        if (length > to - at) throw notProtobuf();
        visit(Math.floor(tag / 8), at, at + length);
        at += length;
      } else throw notProtobuf();
    }
    if (at > to) throw notProtobuf();
  }
}

/** A file seen through a small window, so that nothing that is skipped is read. */
class FileWindow {
  readonly size: number;
  readonly #file: number;
  readonly #window = Buffer.alloc(64 * 1024);
  #start = 0;
  #length = 0;

  constructor(file: number) {
    this.#file = file;
    this.size = fstatSync(file).size;
  }

  /** The number at `at`, which must end before `to`, and where it ends. */
  varint(at: number, to: number): { value: number; end: number } {
    let value = 0;
    let scale = 1;
    for (let end = at; end < to && end < at + 10; scale *= 128) {
      const byte = this.#byte(end++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return { value, end };
    }
    throw notProtobuf();
  }

  /** A name; the first part of one that is absurdly long. */
  text(start: number, end: number, encoding: "latin1" | "utf8" = "latin1"): string {
    const length = Math.min(end - start, 1024);
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#byte(start + i);
    return bytes.toString(encoding) + (end - start > length ? ` ${end - start}` : "");
  }

  #byte(at: number): number {
    if (at < this.#start || at >= this.#start + this.#length) {
      this.#start = at;
      this.#length = readSync(this.#file, this.#window, 0, this.#window.length, at);
      if (this.#length === 0) throw notProtobuf();
    }
    return this.#window[at - this.#start] ?? 0;
  }
}

/** Two functions of one name count as one that does what both do. */
function both(a: Body, b: Body): Body {
  const calls = new Map(a.calls);
  for (const [called, times] of b.calls) calls.set(called, (calls.get(called) ?? 0) + times);
  return { nodes: a.nodes + b.nodes, calls };
}

function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain === "ai.onnx" ? "" : domain, name, overload]);
}

function notProtobuf(): RangeError {
  return new RangeError("is no ONNX file: its protobuf is broken.");
}
