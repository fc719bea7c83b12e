// JSON as Python's json module has it, held to a table that Python wrote.
import { describe, expect, test } from "vitest";
import { DateTime } from "../../server/mlmodel/data/data.ts";
import { JsonError, parsePythonJson, writePythonJson } from "../../server/mlmodel/data/python-json.ts";
import { encodeData } from "../conformance/mlflow/data-cases.ts";
import { signatureTable } from "./signature-table.ts";

describe("reading", () => {
  test("every recorded text means what it means to Python, and is written as Python writes it", () => {
    for (const { text, theirs } of signatureTable.json) {
      if (theirs.error !== undefined) {
        expect(() => parsePythonJson(text), text).toThrow(JsonError);
        continue;
      }
      const data = parsePythonJson(text);
      expect(encodeData(data), text).toEqual(theirs.data);
      expect(writePythonJson(data), text).toBe(theirs.written);
    }
  });

  test("a mistake is told with its line and column", () => {
    expect(() => parsePythonJson('{"a": 1,\n "b": }')).toThrow("a value is expected: line 2, column 7");
    expect(() => parsePythonJson("[1, 2")).toThrow('a list goes on with "," or ends with "]": line 1, column 6');
    expect(() => parsePythonJson('"a\nb"')).toThrow("a control character in a text: line 1, column 3");
  });

  test("a million brackets, more values than allowed and a long integer are refused at once", () => {
    expect(() => parsePythonJson("[".repeat(1_000_000))).toThrow("nested more than 200 deep");
    expect(() => parsePythonJson("[[[1]]]", { maxDepth: 2 })).toThrow("nested more than 2 deep: line 1, column 3");
    expect(() => parsePythonJson("[1, 2, 3]", { maxValues: 3 })).toThrow("more than 3 values");
    expect(parsePythonJson("[1, 2, 3]", { maxValues: 4 })).toEqual([1n, 2n, 3n]);
    expect(() => parsePythonJson("9".repeat(1_000_000))).toThrow("more than 4300 digits");
  });

  test("a key called __proto__ is a key like others", () => {
    expect(parsePythonJson('{"__proto__": {"a": 1}}')).toEqual(new Map([["__proto__", new Map([["a", 1n]])]]));
  });
});

test("what JSON cannot hold is not written", () => {
  expect(() => writePythonJson([new Uint8Array()])).toThrow(TypeError);
  expect(() => writePythonJson(new DateTime(0n))).toThrow(TypeError);
});
