// Input examples, held to what releases of MLflow wrote and read (test/fixtures/mlflow/*/examples.json).
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Data, type DataMap, DateTime, NdArray, Table } from "../../server/mlmodel/data/data.ts";
import { inputExampleFiles, readInputExample } from "../../server/mlmodel/input-example.ts";
import { readSignature } from "../../server/mlmodel/signature/schema-json.ts";
import type { SignatureJson } from "../../server/mlmodel/signature/task-signatures.ts";
import { decodeData, encodeData } from "../conformance/mlflow/data-cases.ts";

interface Case {
  name: string;
  /** null where it is a sparse matrix */
  data: unknown;
  params: unknown;
  info: Record<string, string>;
  stored: string;
  serving: string;
  signature: SignatureJson | null;
  read: unknown;
  read_params: unknown;
  read_without_signature: unknown;
}

const fixtures = new URL("../fixtures/mlflow/", import.meta.url);
const casesOf = (release: string): (readonly [string, Case])[] =>
  (JSON.parse(readFileSync(new URL(`${release}/examples.json`, fixtures), "utf8")) as Case[]).map((item) => [
    item.name,
    item,
  ]);

describe("writing", () => {
  const written = casesOf("3.17.2").filter(([, { data }]) => data !== null);

  test.each(written)(
    "%s is written as MLflow 3.17.2 does, to the byte",
    (_, { data, params, info, stored, serving }) => {
      const options = params === null ? undefined : (decodeData(params) as DataMap);
      const found = inputExampleFiles(decodeData(data), options);
      expect(found.files).toEqual({ "input_example.json": stored, "serving_input_example.json": serving });
      expect(found.info).toEqual(info);
    },
  );

  test("what MLflow takes for no example is refused", () => {
    const array = NdArray.ofBytes("bool", [1], new Uint8Array(1));
    const table = new Table([], 0);
    const wrong: Data[] = [
      null,
      new DateTime(0n, true),
      [array],
      new Map<string, Data>([
        ["a", array],
        ["b", 1n],
      ]),
      [table],
    ];
    for (const data of wrong)
      expect(() => inputExampleFiles(data)).toThrow(expect.objectContaining({ reason: "INVALID_FIELD" }));
  });

  test("params that are empty leave no mark, though they are written", () => {
    const { files, info } = inputExampleFiles("x", new Map());
    expect(files["input_example.json"]).toBe('{"inputs": "x", "params": {}}');
    expect(info.params).toBeUndefined();
  });
});

describe.each(readdirSync(fixtures))("reading what MLflow %s wrote", (release) => {
  test.each(casesOf(release))(
    "%s is read as that release reads it, by its signature and without",
    async (_, recorded) => {
      const { info, stored, signature, read, read_params, read_without_signature } = recorded;
      const readText = async (path: string) => (path === "input_example.json" ? stored : undefined);
      const found = await readInputExample(info, readText, signature ? readSignature(signature) : undefined);
      const asPandas = release.startsWith("3.17") ? encodeData : underPandas2;
      expect(asPandas(found.data)).toEqual(sparse(read));
      expect(found.params === undefined ? null : encodeData(found.params)).toEqual(read_params);
      expect(asPandas((await readInputExample(info, readText)).data)).toEqual(sparse(read_without_signature));
    },
  );
});

test("values for one place of a sparse matrix add up", async () => {
  const info = { artifact_path: "e.json", type: "sparse_matrix_csr" };
  const { data } = await readInputExample(info, async () => matrix([1, 2, true], [0, 0, 1], [0, 3], [1, 2]));
  expect(encodeData(data)).toEqual(
    encodeData(NdArray.ofBytes("int64", [1, 2], new Uint8Array(new BigInt64Array([3n, 1n]).buffer))),
  );
});

describe("an example that is not what MLmodel says", () => {
  const info = (type: string, more = {}) => ({ artifact_path: "e.json", type, ...more });
  const cases: [string, Record<string, string>, string | undefined, RegExp][] = [
    ["a type that MLflow does not know", info("parquet"), "[]", /type parquet/],
    ["a file that is missing", info("json_object"), undefined, /no file e\.json/],
    ["no JSON", info("json_object"), "{", /cannot be read/],
    ["no inputs beside params", info("json_object", { params: "true" }), '{"params": {}}', /has no inputs/],
    ["a table that is a list", info("dataframe"), "[[1]]", /split format must be a dictionary/],
    ["a table with too short a row", info("dataframe"), '{"columns": ["a", "b"], "data": [[1]]}', /cannot be read/],
    ["JSON a thousand deep", info("json_object"), "[".repeat(1000), /nested more than 200 deep/],
    ["a matrix without data", info("sparse_matrix_csr"), '{"indices": []}', /has a list data/],
    [
      "a matrix that is huge",
      info("sparse_matrix_csc"),
      matrix([], [], [0], [2147483647, 2147483647]),
      /4000000 cells/,
    ],
    ["an index outside the matrix", info("sparse_matrix_csr"), matrix([1], [5], [0, 1], [1, 2]), /do not fit/],
    ["ends that go back", info("sparse_matrix_csr"), matrix([1, 2], [0, 1], [0, 2, 1], [2, 2]), /do not fit/],
    ["lists in a matrix", info("sparse_matrix_csr"), matrix([[1], [1, 2]], [0], [0, 1], [1, 1]), /holds numbers/],
    ["an int that no array holds", info("sparse_matrix_csr"), `{"data": [${2n ** 70n}]}`, /64 bits/],
    ["a matrix of one dimension", info("sparse_matrix_csr"), matrix([1], [0], [0, 1], [1]), /do not fit/],
    ["text in a matrix", info("sparse_matrix_csr"), matrix(["a"], [0], [0, 1], [1, 1]), /holds numbers/],
  ];

  test.each(cases)("%s is refused", async (_, info, text, message) => {
    const read = readInputExample(info, async () => text);
    await expect(read).rejects.toThrow(message);
    await expect(read).rejects.toMatchObject({ reason: "MODEL_INVALID" });
  });
});

/** pandas had no type for text before 3: such columns are of objects. */
function underPandas2(data: Data): unknown {
  if (!(data instanceof Table)) return encodeData(data);
  const columns = data.columns.map(({ name, values }) => ({
    name,
    values: values.dtype === "str" ? NdArray.ofItems("object", values.shape, values.items) : values,
  }));
  return encodeData(new Table(columns, data.rows));
}

function matrix(data: unknown[], indices: number[], indptr: number[], shape: number[]): string {
  return JSON.stringify({ data, indices, indptr, shape });
}

function sparse(read: unknown): unknown {
  return typeof read === "object" && read !== null && "sparse" in read ? read.sparse : read;
}
