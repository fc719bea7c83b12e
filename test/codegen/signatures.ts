// One signature of each kind, with the name that its types get.
import { CHAT } from "./chat-signature.ts";
import { type Spec, signatureOf, tensorSpec } from "./signature-of.ts";

const column = (type: string, name?: string | number, required = true): Spec => ({
  type,
  required,
  ...(name !== undefined && { name }),
});
const list = (items: Spec, name?: string): Spec => ({ type: "array", items, required: true, ...(name && { name }) });

/** What a model's author may call a column, to the regret of whoever reads it. */
export const HOSTILE_NAMES = [
  'a"b',
  "it's",
  `both " and '`,
  "*/ alert(1) /*",
  "back\\slash",
  "line\nbreak",
  "\u2028\u202e\u0000",
  "$" + "{x}`",
  "// comment",
  "__proto__",
  "constructor",
  "class",
  "0",
  "1.5",
  "é",
  "\u3164",
  "a\ufe0f",
  "日本語",
  "😀",
  "",
  " ",
  "a b",
  "aB",
  "a_b",
  "a-b",
  "message",
  "option",
  "[ext]x",
  "x".repeat(200),
  "日".repeat(70),
];

export const SIGNATURES = {
  Iris: signatureOf({
    inputs: [
      column("double", "sepal length (cm)"),
      column("double", "sepal_width"),
      column("double", "petal_length"),
      column("float", "petal_width", false),
    ],
    outputs: [column("long", "label"), { type: "map", values: column("float"), name: "probabilities", required: true }],
  }),
  Chat: CHAT,
  Prompt: signatureOf({
    inputs: [column("string", "prompt")],
    outputs: [column("string")],
    params: [
      { name: "temperature", type: "double", default: 0.7, shape: null },
      { name: "max_tokens", type: "long", default: 64, shape: null },
      { name: "stop", type: "string", default: ["*/"], shape: [-1] },
    ],
  }),
  Everything: signatureOf({
    inputs: [
      ...["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"].map((type) =>
        column(type, type),
      ),
      list(list(column("double")), "matrix"),
      list(column("long"), "longs"),
      {
        type: "object",
        name: "person",
        required: true,
        properties: { age: column("integer"), nick: column("string", undefined, false) },
      },
      { type: "map", values: list(column("float")), name: "scores", required: false },
      { type: "map", values: { type: "map", values: column("string") }, name: "texts", required: false },
      { type: "any", name: "rest", required: false },
    ],
    outputs: [list({ type: "object", properties: { at: column("datetime"), raw: column("binary") } }, "events")],
  }),
  Tensors: signatureOf({
    inputs: [tensorSpec("float32", [-1, 4], "x"), tensorSpec("int64", [-1], "ids"), tensorSpec("str", [-1], "names")],
    outputs: [tensorSpec("float32", [-1, 3], "y"), tensorSpec("bool", [-1], "mask")],
  }),
  Image: signatureOf({ inputs: [tensorSpec("uint8", [-1, 28, 28])], outputs: [tensorSpec("float64", [-1])] }),
  Objects: signatureOf({ inputs: [tensorSpec("object", [-1, 2], "texts")], outputs: [tensorSpec("int64", [-1, 2])] }),
  Single: signatureOf({ inputs: [column("double")], outputs: [column("long")] }),
  Pairs: signatureOf({ inputs: [column("long"), column("string")], outputs: [column("double"), column("double")] }),
  Numbered: signatureOf({ inputs: [column("double", 0), column("double", 1)], outputs: [column("double", "0")] }),
  Unknown: signatureOf({ inputs: [{ type: "any", required: true }] }),
  Maps: signatureOf({
    inputs: [{ type: "map", values: column("long"), name: "counts", required: true }],
    outputs: [column("long", "sum")],
  }),
  Hostile: signatureOf({
    inputs: HOSTILE_NAMES.map((name) => ({ ...list(column("double")), name })),
    outputs: HOSTILE_NAMES.map((name) => ({
      type: "object",
      name,
      required: false,
      properties: { [name || "x"]: column("long") },
    })),
    params: HOSTILE_NAMES.map((name) => ({ name, type: "string", default: name, shape: null })),
  }),
} as const;
