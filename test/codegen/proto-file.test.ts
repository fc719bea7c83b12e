// Generated .proto files, built by buf, and the JSON of their messages.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FileRegistry, JsonValue } from "@bufbuild/protobuf";
import { createFileRegistry, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Signature } from "@modelwire/proto";
import { beforeAll, expect, test } from "vitest";
import { protoFile } from "../../server/codegen/proto-file.ts";
import { type Spec, signatureOf } from "./signature-of.ts";
import { HOSTILE_NAMES, SIGNATURES } from "./signatures.ts";

const buf = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));

/** Names that no field can have in JSON. */
const IMPOSSIBLE = ["", "\u2028\u202e\u0000"];
const hostile = HOSTILE_NAMES.filter((name) => !IMPOSSIBLE.includes(name)).map(
  (name): Spec => ({ name, type: "object", properties: { [name]: { type: "long" } }, required: true }),
);
const wide = Array.from({ length: 20_000 }, (_, i): Spec => ({ name: `c${i}`, type: "double", required: true }));

const { Hostile: _, ...ordinary } = SIGNATURES;
const FILES: Record<string, Signature> = {
  ...ordinary,
  Hostile: signatureOf({ inputs: hostile, outputs: hostile }),
  Wide: signatureOf({ inputs: wide }),
  Google: SIGNATURES.Everything,
};

let registry: FileRegistry;

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), "modelwire-proto-"));
  try {
    for (const [name, signature] of Object.entries(FILES))
      writeFileSync(join(folder, `${name}.proto`), protoFile({ uri: "models:/m-1", name, signature }));
    const { stderr, status } = spawnSync(buf, ["build", "-o", "all.binpb"], { cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(join(folder, "all.binpb"))));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function roundTrip(name: string, message: "Request" | "Response", body: JsonValue): JsonValue {
  const schema = registry.getMessage(`modelwire.generated.${name.toLowerCase()}.${name}${message}`);
  if (!schema) throw new Error(`there is no ${name}${message}`);
  return toJson(schema, fromJson(schema, body));
}

const BODIES: [keyof typeof FILES, "Request" | "Response", JsonValue][] = [
  ["Iris", "Request", { dataframe_records: [{ "sepal length (cm)": 0, sepal_width: 3.5, petal_length: 1.4 }] }],
  ["Iris", "Response", { predictions: [{ label: "1", probabilities: { setosa: 0.5 } }] }],
  ["Chat", "Request", { dataframe_records: [{ messages: [{ role: "user", content: "hi" }], max_tokens: "64" }] }],
  ["Prompt", "Request", { dataframe_records: [{ prompt: "" }], params: { temperature: 0, stop: ["a"] } }],
  ["Prompt", "Response", { predictions: ["a", "b"] }],
  [
    "Everything",
    "Request",
    {
      dataframe_records: [
        {
          ...{
            boolean: false,
            integer: 0,
            long: "0",
            float: 0,
            double: 0,
            string: "",
            binary: "",
            datetime: "2024-01-01",
          },
          ...{ matrix: [[1, 2], [3]], longs: [1, 2], person: { age: 3 }, scores: { a: [1] }, texts: { a: { b: "c" } } },
          rest: [1, { a: null }],
        },
      ],
    },
  ],
  ["Tensors", "Request", { inputs: { x: [[1, 2, 3, 4]], ids: ["1"], names: ["a"] } }],
  [
    "Image",
    "Request",
    {
      inputs: [
        [
          [1, 2],
          [3, 4],
        ],
      ],
    },
  ],
  ["Image", "Response", { predictions: [0.5] }],
  ["Single", "Request", { inputs: [1, 2.5] }],
  ["Pairs", "Request", { dataframe_split: { data: [[1, "a"]] } }],
  ["Numbered", "Request", { dataframe_split: { data: [[1, 2]] } }],
  ["Unknown", "Request", { inputs: [1, { a: [null] }] }],
  [
    "Hostile",
    "Request",
    { dataframe_records: [Object.fromEntries(hostile.map(({ name = "" }) => [name, { [name]: 1 }]))] },
  ],
  ["Wide", "Request", { dataframe_records: [{ c0: 1, c18998: 2, c18999: 3, c19999: 4 }] }],
];

test.each(BODIES)("a body of %s%s is the same after a way through its messages", (name, message, body) => {
  expect(roundTrip(String(name), message, body)).toEqual(body);
});

test("every file is built, and says what it was written from", () => {
  for (const [name, signature] of Object.entries(FILES)) {
    expect(registry.getMessage(`modelwire.generated.${name.toLowerCase()}.${name}Request`)).toBeDefined();
    const text = protoFile({ uri: "models:/m-1", name, signature });
    expect(text).toMatch(
      /^\/\/ Written by `modelwire codegen` from the signature of models:\/m-1:\n\/\/ sha256:\w{64}\./,
    );
    expect(text).toBe(protoFile({ uri: "models:/m-1", name, signature }));
  }
});

test.each(["", "\0", "[a.b]"])("a column called %j has no place in such a file, which is said", (name) => {
  const signature = signatureOf({ inputs: [{ name, type: "double", required: true }] });
  expect(() => protoFile({ uri: "x", name: "X", signature })).toThrow("no field of protobuf can be called");
});
