// Signatures read, written, printed and recognised, held to a table that MLflow wrote.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import { tensorDtype } from "../../server/mlmodel/signature/schema-dtype.ts";
import { readSignature, writeSignature } from "../../server/mlmodel/signature/schema-json.ts";
import { signatureText } from "../../server/mlmodel/signature/schema-text.ts";
import { taskOfSignature } from "../../server/mlmodel/signature/task-of-signature.ts";
import {
  type Columns,
  type ColumnType,
  chatSignature,
  completionsSignature,
  embeddingsSignature,
  type SignatureJson,
  schemaJson,
} from "../../server/mlmodel/signature/task-signatures.ts";
import { signatureTable } from "./signature-table.ts";

describe("reading and writing", () => {
  test("every recorded signature is read, written and printed as MLflow does it; what MLflow refuses is refused", () => {
    for (const { given, theirs } of signatureTable.signatures) {
      if (theirs.error !== undefined) {
        expect(() => readSignature(given), JSON.stringify(given)).toThrow(ApiError);
        continue;
      }
      const signature = readSignature(given);
      expect(writeSignature(signature), JSON.stringify(given)).toEqual(theirs.json);
      expect(signatureText(signature), JSON.stringify(given)).toBe(theirs.text);
    }
  });

  test("every mistake is told, with its place in the JSON", () => {
    const signature = {
      inputs:
        '[{"type": "x"}, {"type": "array"}, {"type": "object", "properties": {"a": {"type": "array", "items": {}}}}]',
      outputs: "{",
      params: '[{"name": "a", "type": "long", "default": 1.0}]',
    };
    const error = refusal(() => readSignature(signature));
    expect(error.reason).toBe("MODEL_INVALID");
    expect(error.violations).toEqual([
      { field: "inputs[0]", description: "'x' is no type" },
      { field: "inputs[1]", description: '"array" needs items, an object with a type' },
      { field: "inputs[2].properties.a.items", description: "a type is missing" },
      { field: "outputs", description: "no JSON: a key is a text in double quotes: line 1, column 2" },
      {
        field: "params[0].default",
        description: "float is no long: a whole number is wanted, written without a fraction",
      },
    ]);
  });

  test("a hundred mistakes are told and the others counted", () => {
    const { violations } = refusal(() => readSignature(inputsOnly(`[${'{"type": "x"}, '.repeat(150)}{"type": "x"}]`)));
    expect(violations).toHaveLength(101);
    expect(violations.at(-1)?.description).toBe("51 further mistakes");
  });

  test("a hundred thousand columns come back as they were", () => {
    const column = (i: number) => `{"type": "double", "name": "column ${i}", "required": true}`;
    const json = inputsOnly(`[${Array.from({ length: 100_000 }, (_, i) => column(i)).join(", ")}]`);
    expect(writeSignature(readSignature(json)).inputs === json.inputs).toBe(true);
  });

  test("types deeper than a message can hold are refused, and so are texts deeper than that", () => {
    const nested = (depth: number) =>
      inputsOnly(`[${'{"type": "array", "items": '.repeat(depth)}{"type": "any"}${"}".repeat(depth)}]`);
    expect(readSignature(nested(32)).inputs?.kind).toBe("columns");
    expect(refusal(() => readSignature(nested(33))).message).toContain("nested more than 32 deep");
    expect(refusal(() => readSignature(nested(100_000))).message).toContain("nested more than 200 deep");
  });

  test("what MLflow reads, but would lose on the way, is refused", () => {
    const tensor = (spec: string) => inputsOnly(`[{"type": "tensor", "tensor-spec": ${spec}}]`);
    for (const json of [
      tensor('{"dtype": ">f8", "shape": [-1]}'),
      tensor('{"dtype": null, "shape": [-1]}'),
      tensor('{"dtype": "float64", "shape": "3"}'),
      tensor('{"dtype": "float64", "shape": [1.5]}'),
      tensor('{"dtype": "float64", "shape": [-2]}'),
      inputsOnly('[{"type": "string", "name": 1.5}]'),
      inputsOnly('[{"type": "string", "required": "yes"}]'),
    ])
      expect(() => readSignature(json), json.inputs ?? "").toThrow(ApiError);
  });

  test("a property called __proto__ is a property like others", () => {
    const json = inputsOnly(
      '[{"type": "object", "properties": {"__proto__": {"type": "long", "required": true}}, "required": true}]',
    );
    expect(writeSignature(readSignature(json))).toEqual(json);
    expect(tensorDtype("__proto__")).toBeUndefined();
    expect(() => readSignature(inputsOnly('[{"type": "constructor"}]'))).toThrow("'constructor' is no type");
  });
});

describe("tasks", () => {
  /** Chat as 2.11 to 2.13 had it; `extra` columns came with 2.14. */
  const oldChat = (extra: Columns): SignatureJson => {
    const message: ColumnType = { content: "string", role: "string", "name?": "string" };
    const inputs: Columns = {
      messages: [message],
      "temperature?": "double",
      "max_tokens?": "long",
      "stop?": ["string"],
      ...extra,
    };
    const outputs: Columns = {
      ...{ id: "string", object: "string", created: "long", model: "string" },
      choices: [{ index: "long", message, finish_reason: "string" }],
      usage: { prompt_tokens: "long", completion_tokens: "long", total_tokens: "long" },
    };
    return { inputs: schemaJson(inputs), outputs: schemaJson(outputs), params: null };
  };

  test("the signatures of MLflow's tasks are known, chat in each of its historic shapes", () => {
    const task = (json: SignatureJson) => taskOfSignature(readSignature(json));
    expect(task(chatSignature())).toBe("llm/v1/chat");
    expect(task(oldChat({}))).toBe("llm/v1/chat");
    expect(task(oldChat({ "n?": "long", "stream?": "boolean", "top_p?": "double" }))).toBe("llm/v1/chat");
    expect(task(completionsSignature())).toBe("llm/v1/completions");
    expect(task(embeddingsSignature())).toBe("llm/v1/embeddings");
  });

  test("a signature that only looks like a task is none", () => {
    const task = (inputs: string | null, outputs: string | null) =>
      taskOfSignature(readSignature({ inputs, outputs, params: null }));
    const { inputs, outputs } = chatSignature();
    expect(
      task('[{"type": "string", "name": "prompt", "required": true}]', '[{"type": "string", "required": true}]'),
    ).toBeUndefined();
    expect(task(completionsSignature().inputs, '[{"type": "string", "required": true}]')).toBeUndefined();
    expect(task(inputs, null)).toBeUndefined();
    expect(task(null, outputs)).toBeUndefined();
    expect(task(inputs, completionsSignature().outputs)).toBeUndefined();
    expect(task(completionsSignature().inputs, outputs)).toBeUndefined();
    expect(
      task(embeddingsSignature().inputs, '[{"type": "array", "items": {"type": "double"}, "required": true}]'),
    ).toBeUndefined();
    expect(task('[{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}]', outputs)).toBeUndefined();
  });

  test("a chat that asks for more than messages is none", () => {
    const inputs = schemaJson({ messages: [{ role: "string", content: "string" }], customer: "string" });
    expect(taskOfSignature(readSignature({ ...chatSignature(), inputs }))).toBeUndefined();
  });
});

function inputsOnly(inputs: string): SignatureJson {
  return { inputs, outputs: null, params: null };
}

function refusal(call: () => unknown): ApiError {
  try {
    call();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}
