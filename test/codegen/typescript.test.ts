// Generated modules, compiled: right programs must, and wrong programs must not.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ColumnSpecSchema, type DataTypeSchema, ScalarType } from "@modelwire/proto";
import { beforeAll, expect, test } from "vitest";
import { protoFile } from "../../server/codegen/proto-file.ts";
import { typescriptModule } from "../../server/codegen/typescript.ts";
import { compile } from "./compile.ts";
import { signatureOf } from "./signature-of.ts";
import { HOSTILE_NAMES, SIGNATURES } from "./signatures.ts";

type Name = keyof typeof SIGNATURES;

const NAMES = Object.keys(SIGNATURES) as Name[];
const generated = (name: Name) => typescriptModule({ uri: "models:/m-1", name, signature: SIGNATURES[name] });

const IRIS = '{ "sepal length (cm)": 5, sepal_width: 3.5, petal_length: 1.4 }';
const EVERYTHING =
  "{ boolean: true, integer: 1, long: 2n ** 60n, float: 0.5, double: 1, string: 's', binary: new Uint8Array(2), " +
  "datetime: new Date(0), matrix: [[1, 2], [3]], longs: [1, 2n], person: { age: 3 } }";
const TENSORS = "{ x: tensor(new Float32Array(8), [2, 4]), ids: new BigInt64Array(2), names: tensor(['a', 'b']) }";

/** What stands after `const model = …` in a program. */
const RIGHT: [Name, string][] = [
  [
    "Iris",
    `const { output } = await model.predict(${IRIS}); const label: number | bigint | undefined = output[0]?.label; void label`,
  ],
  ["Iris", `await model.predict([${IRIS}, { ...${IRIS}, petal_width: 0.2 }], { strict: true, timeoutMs: 5 })`],
  ["Iris", `const p: number | undefined = (await model.predict(${IRIS})).output[0]?.probabilities.setosa; void p`],
  [
    "Chat",
    'const r = await model.predict({ messages: [{ role: "user", content: "hi" }], max_tokens: 64 }); const t: string | null | undefined = r.output.choices[0]?.message.content; void t',
  ],
  ["Chat", 'for await (const text of model.stream({ messages: [{ role: "user", content: "hi" }] })) text.trim()'],
  [
    "Prompt",
    'const { output, usage } = await model.predict({ prompt: "x" }, { params: { temperature: 0, stop: ["a"] } }); output.trim(); usage?.totalTokens.toFixed()',
  ],
  ["Prompt", 'const whole = await model.stream({ prompt: "x" }).final(); whole.output.trim()'],
  ["Prompt", "const { tokenCount } = await model.countTokens('x'); tokenCount.toFixed()"],
  ["Everything", `await model.predict(${EVERYTHING})`],
  [
    "Everything",
    `await model.predict({ ...${EVERYTHING}, scores: { a: [1, 0.5] }, texts: { a: { b: "c" } }, rest: [1, { a: null }] })`,
  ],
  ["Everything", `const [row] = (await model.predict(${EVERYTHING})).output; row?.events[0]?.at.getTime()`],
  [
    "Tensors",
    `const { y, mask } = (await model.predict(${TENSORS})).output; const f: Float32Array = y.data; const m: Uint8Array = mask.data; void [f, m]`,
  ],
  [
    "Image",
    "const { output } = await model.predict(tensor(new Uint8Array(784), [1, 28, 28])); const d: Float64Array = output.data; void d",
  ],
  [
    "Objects",
    'const { output } = await model.predict({ texts: [["a", "b"]] }); const n: number | bigint | undefined = output[0]?.[1]; void n',
  ],
  [
    "Single",
    "await model.predict(1); const { output } = await model.predict([1, 2.5]); const n: number | bigint | undefined = output[0]; void n",
  ],
  ["Pairs", 'const { output } = await model.predict([[1, "a"]]); const n: number | undefined = output[0]?.[1]; void n'],
  ["Numbered", "await model.predict({ 0: 1, 1: 2 })"],
  ["Unknown", "await model.predict([1, { a: new Date(0) }])"],
  ["Maps", "await model.predict({ counts: { a: 1 } })"],
];

/** The same, and the errors that the compiler must find. */
const WRONG: [Name, string, string[]][] = [
  ["Iris", 'await model.predict({ "sepal length (cm)": 5, sepal_width: 3.5 })', ["TS2345"]],
  ["Iris", "await model.predict([{ sepal_width: 3.5, petal_length: 1.4 }])", ["TS2741"]],
  ["Iris", `await model.predict({ ...${IRIS}, petal_wdith: 0.2 })`, ["TS2353"]],
  ["Iris", 'await model.predict({ "sepal length (cm)": "5", sepal_width: 3.5, petal_length: 1.4 })', ["TS2322"]],
  ["Iris", `await model.predict(${IRIS}, { params: { temperature: 1 } })`, ["TS2322"]],
  ["Iris", `await model.predict(${IRIS}, { strictt: true })`, ["TS2561"]],
  ["Iris", `model.stream(${IRIS})`, ["TS2339"]],
  ["Iris", "await model.countTokens('x')", ["TS2339"]],
  ["Iris", `(await model.predict(${IRIS})).output[0]?.lable`, ["TS2551"]],
  ["Iris", `(await model.predict(${IRIS})).output.label`, ["TS2339"]],
  ["Chat", "await model.predict({})", ["TS2741"]],
  ["Chat", 'await model.predict({ message: [{ role: "user", content: "hi" }] })', ["TS2561"]],
  ["Chat", 'await model.predict({ messages: "hi" })', ["TS2322"]],
  ["Chat", 'await model.predict({ messages: [{ content: "hi" }] })', ["TS2741"]],
  ["Chat", 'await model.predict({ messages: [{ role: "user", text: "hi" }] })', ["TS2353"]],
  ["Chat", 'await model.predict({ messages: [], temperature: "warm" })', ["TS2322"]],
  ["Chat", "for (const text of model.stream({ messages: [] })) void text", ["TS2488"]],
  ["Chat", "for await (const text of model.stream({ messages: [] })) text.content", ["TS2339"]],
  ["Chat", "for await (const text of model.predict({ messages: [] })) void text", ["TS2504"]],
  ["Prompt", 'await model.predict({ prompt: "x" }, { params: { temprature: 0 } })', ["TS2561"]],
  ["Prompt", 'await model.predict({ prompt: "x" }, { params: { max_tokens: "64" } })', ["TS2322"]],
  ["Prompt", 'await model.predict({ prompt: "x" }, { params: { stop: "a" } })', ["TS2322"]],
  ["Prompt", '(await model.predict({ prompt: "x" })).output.choices', ["TS2339"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, binary: "AA==" })`, ["TS2322"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, datetime: 0 })`, ["TS2322"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, integer: 1n })`, ["TS2322"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, matrix: [1] })`, ["TS2322"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, person: { nick: "x" } })`, ["TS2741"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, person: { age: 1, size: 2 } })`, ["TS2353"]],
  ["Everything", `await model.predict({ ...${EVERYTHING}, scores: { a: 1 } })`, ["TS2322"]],
  ["Tensors", "await model.predict({ x: new Float32Array(8) })", ["TS2739"]],
  ["Tensors", `await model.predict({ ...${TENSORS}, x: tensor(new Float64Array(8), [2, 4]) })`, ["TS2322"]],
  ["Tensors", `await model.predict({ ...${TENSORS}, ids: new Int32Array(2) })`, ["TS2322"]],
  ["Image", "await model.predict(new Uint8Array(784))", ["TS2345"]],
  ["Single", 'await model.predict("1")', ["TS2345"]],
  ["Pairs", 'await model.predict([["a", 1]])', ["TS2322", "TS2322"]],
  ["Pairs", "await model.predict([[1]])", ["TS2322"]],
  ["Numbered", "await model.predict({ 0: 1 })", ["TS2345"]],
  ["Maps", 'await model.predict({ counts: { a: "1" } })', ["TS2322"]],
];

const program = (name: Name, body: string) =>
  `import { createClient, tensor } from "@modelwire/client";
import { ${name.charAt(0).toLowerCase()}${name.slice(1)} as connect } from "./${name}.gen.ts";
const model = connect(createClient("localhost:1"));
void tensor;
${body};
`;

let errors: Record<string, string[]>;

beforeAll(() => {
  const programs = [...RIGHT, ...WRONG].map(([name, body], i) => [`program${i}.ts`, program(name, body)]);
  const modules = NAMES.map((name) => [`${name}.gen.ts`, generated(name)]);
  errors = compile(Object.fromEntries([...modules, ...programs]));
});

test.each(NAMES)("the module of %s compiles", (name) => {
  expect(errors[`${name}.gen.ts`]).toBeUndefined();
});

test.each(RIGHT)("%s: %s compiles", (name, body) => {
  expect(errors[`program${RIGHT.findIndex((one) => one[0] === name && one[1] === body)}.ts`]).toBeUndefined();
});

test.each(WRONG)("%s: %s does not compile", (name, body, codes) => {
  const i = RIGHT.length + WRONG.findIndex((one) => one[0] === name && one[1] === body);
  expect(errors[`program${i}.ts`]).toEqual(codes);
});

test("the text is as the formatter would leave it", () => {
  const biome = fileURLToPath(new URL("../../node_modules/.bin/biome", import.meta.url));
  const long = { uri: "x".repeat(200), name: "AbcdefghijAbcdefghijAbcdefghij", signature: SIGNATURES.Iris };
  for (const text of [...NAMES.map(generated), typescriptModule(long)]) {
    const { stdout } = spawnSync(biome, ["format", "--stdin-file-path=generated.ts"], {
      input: text,
      encoding: "utf8",
    });
    expect(stdout).toBe(text);
  }
});

test("a column's name is a key and nothing else, whatever it is", () => {
  const text = generated("Hostile");
  // Nothing that cannot be seen, no comment that ends early, and every name there once as a key of the row.
  expect(text).not.toMatch(/[^\n\P{C}]|[\u2028\u2029]/u);
  const row = /export type HostileRow = \{\n(.*?)\n\};/s.exec(text)?.[1] ?? "";
  const keys = [...row.matchAll(/^ {2}readonly (.*): (?:readonly number\[\]|\w+);$/gm)].map(([, key = ""]) => key);
  // As the language reads them.
  expect(keys.map((key) => (/^["']/.test(key) ? new Function(`return ${key}`)() : key))).toEqual(HOSTILE_NAMES);
});

test("names that are words of the language or of the client get a number or a word behind them", () => {
  for (const name of ["Delete", "Model", "Served", "ServedText", "No", "Class"]) {
    const text = typescriptModule({ uri: "x", name, signature: SIGNATURES.Iris });
    expect(text).not.toMatch(/function (delete|class)\(|type (ModelInput|ServedModel|ServedTextModel|NoParams) /);
  }
});

test("the same signature gives the same bytes, another one another digest", () => {
  expect(generated("Everything")).toBe(generated("Everything"));
  const digest = (name: Name) => /sha256:\w{64}/.exec(generated(name))?.[0];
  expect(new Set(NAMES.map(digest)).size).toBe(NAMES.length);
});

test("the columns travel with the types only where MLflow would take a number for another", () => {
  const withColumns = NAMES.filter((name) => generated(name).includes("inputs: INPUTS"));
  expect(withColumns).toEqual(["Everything", "Pairs", "Numbered", "Unknown", "Maps", "Hostile"]);
});

test("a signature that names two columns alike is refused", () => {
  const twice = { type: "double", name: "a", required: true };
  const signature = signatureOf({ inputs: [twice, twice] });
  expect(() => typescriptModule({ uri: "x", name: "Twice", signature })).toThrow('inputs name "a" twice');
});

test("forty thousand columns whose types want one name, and a type as deep as the wire takes, are no matter", () => {
  const wide = Array.from({ length: 40_000 }, (_, i) => ({
    name: `列${i}`,
    type: "object",
    properties: { a: { type: "long" } },
    required: true,
  }));
  // Deeper than MLflow's: a server may send what it likes.
  let deep: MessageInitShape<typeof DataTypeSchema> = { kind: { case: "scalar", value: ScalarType.DOUBLE } };
  for (let i = 0; i < 90; i++) deep = { kind: { case: "arrayItems", value: deep } };
  const signature = signatureOf({ inputs: wide });
  signature.inputs?.columns.push(create(ColumnSpecSchema, { name: "deep", type: deep, required: true }));
  // A second; were a name looked for among all others, this would not end before the test does.
  const text = typescriptModule({ uri: "x", name: "Wide", signature });
  protoFile({ uri: "x", name: "Wide", signature });
  const long = text.split("\n").filter((line) => line.length > 120 && !line.startsWith("  '["));
  expect(long).toEqual([]);
});
