// Protobuf is written by hand here: the onnx package would not make most of these files.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { ModelFolderError } from "../../server/onnx/errors.ts";
import { checkGraphLimits } from "../../server/onnx/graph-limits.ts";

const folder = mkdtempSync(join(tmpdir(), "graph-limits-"));
afterAll(() => rmSync(folder, { recursive: true }));

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
const field = (number: number, content: Uint8Array | string) => {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
};
const joined = (...parts: Uint8Array[]) => Buffer.concat(parts);
const node = (operator: string, domain = "", attributes: Uint8Array = Buffer.alloc(0)) =>
  joined(field(4, operator), field(7, domain), attributes);
const nodes = (...list: Uint8Array[]) => joined(...list.map((one) => field(1, one)));
const graph = (content: Uint8Array) => field(7, content);
/** A function of the domain "f". */
const definition = (name: string, ...body: Uint8Array[]) =>
  field(25, joined(field(1, name), field(10, "f"), ...body.map((one) => field(7, one))));

function check(...content: Uint8Array[]) {
  const path = join(folder, "model.onnx");
  writeFileSync(path, joined(...content));
  return checkGraphLimits(path);
}

describe("a graph file is refused when it", () => {
  test("has more nodes or weights than are loaded", () => {
    const some = (count: number, number: number) => graph(Buffer.concat(Array(count).fill(field(number, ""))));
    expect(() => check(some(50_001, 1))).toThrow("more than 50000 nodes");
    expect(() => check(some(50_001, 5))).toThrow("more than 50000 weights");
    check(some(50_000, 1));
  });

  test("has more inputs or outputs than are served", () => {
    const some = (count: number, number: number) =>
      graph(Buffer.concat(Array.from({ length: count }, (_, i) => field(number, field(1, `v${i}`)))));
    expect(() => check(some(10_001, 11))).toThrow("more than 10000 inputs");
    expect(() => check(some(10_001, 12))).toThrow("more than 10000 outputs");
  });

  test("counts the nodes of graphs in graphs, in single and repeated attributes", () => {
    const inner = nodes(...Array(30_000).fill(node("Neg")));
    const attribute = (number: number) => field(5, field(number, inner));
    expect(() => check(graph(nodes(node("If", "", joined(attribute(6), attribute(11))))))).toThrow("50000 nodes");
  });

  test("has functions that stand for more nodes than are loaded, however few are written", () => {
    const twice = (name: string) => [node(name, "f"), node(name, "f")];
    const bomb = (depth: number) => [
      graph(nodes(node(`f${depth}`, "f"))),
      definition("f0", node("Neg")),
      ...Array.from({ length: depth }, (_, i) => definition(`f${i + 1}`, ...twice(`f${i}`))),
    ];
    expect(() => check(...bomb(50))).toThrow("more than 10000 nodes");
    check(...bomb(8));
  });

  test("hides a heavy function behind a light one of the same name", () => {
    const heavy = definition("f0", ...Array(10_001).fill(node("Neg")));
    expect(() => check(graph(nodes(node("f0", "f"))), heavy, definition("f0", node("Neg")))).toThrow("10000 nodes");
  });

  test("has functions that call each other deeply, or in a circle", () => {
    const chain = (depth: number) => [
      graph(nodes(node(`f${depth}`, "f"))),
      definition("f0", node("Neg")),
      ...Array.from({ length: depth }, (_, i) => definition(`f${i + 1}`, node(`f${i}`, "f"))),
    ];
    check(...chain(60));
    expect(() => check(...chain(70))).toThrow("more than 64 deep");
    expect(() => check(...chain(5000))).toThrow("more than 64 deep");
    expect(() => check(graph(nodes(node("a", "f"))), definition("a", node("a", "f")))).toThrow("64 deep");
    // The deepest is reached by a short way first.
    const [main, ...functions] = chain(70);
    expect(main).toBeDefined();
    expect(() => check(graph(nodes(node("f40", "f"), node("f70", "f"))), ...functions)).toThrow("64 deep");
  });

  test("has messages in messages without end", () => {
    let content: Uint8Array = nodes(node("Neg"));
    for (let i = 0; i < 10_000; i++) content = nodes(node("If", "", field(5, field(6, content))));
    expect(() => check(graph(content))).toThrow("more than 100 messages");
  });

  test.each([
    ["zeros", Buffer.alloc(1 << 20)],
    ["ones", Buffer.alloc(1 << 20, 0xff)],
    ["text", Buffer.from("this is no protobuf")],
    ["a length behind the end", Buffer.from([0x3a, 0xff, 0xff, 0x03, 1])],
    ["a number without an end", Buffer.from([0x08, 0x80])],
    ["a fixed number behind the end", Buffer.from([0x09, 0x80])],
    ["a group", Buffer.from([0x0b, 0x0c])],
  ])("is no protobuf: %s", (_, bytes) => {
    expect(() => check(bytes)).toThrow(ModelFolderError);
  });
});

test("weights are skipped, not read", () => {
  const weight = field(5, field(9, Buffer.alloc(64 << 20)));
  expect(check(graph(joined(nodes(node("Neg")), weight, field(11, field(1, "x"))))).unshaped).toEqual(new Set(["x"]));
});

test("it is told which inputs and outputs have no shape, whatever script their names are in", () => {
  const shape = field(2, "");
  const value = (name: string, type: Uint8Array) => joined(field(1, name), field(2, field(1, type)));
  const { unshaped } = check(
    graph(
      joined(
        field(11, value("x", joined(Buffer.from([8, 1]), shape))),
        field(11, value("žluť", Buffer.from([8, 1]))),
        field(12, value("y", shape)),
      ),
    ),
  );
  expect(unshaped).toEqual(new Set(["žluť"]));
  const plain = fileURLToPath(new URL("../fixtures/onnx/plain/unshaped.onnx", import.meta.url));
  expect(checkGraphLimits(plain).unshaped).toEqual(new Set(["x", "y"]));
});
