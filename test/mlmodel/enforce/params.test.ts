// Parameters against a signature: MLflow's conversions and refusals, all of them in one error.
import { ApiError } from "@modelwire/proto";
import { describe, expect, test } from "vitest";
import type { Data } from "../../../server/mlmodel/data/data.ts";
import { enforceParams } from "../../../server/mlmodel/enforce/params.ts";
import { readSignature } from "../../../server/mlmodel/signature/schema-json.ts";

const { params: SPECS } = readSignature({
  inputs: null,
  outputs: null,
  params: JSON.stringify([
    { name: "temperature", type: "double", default: 0.5, shape: null },
    { name: "stop", type: "string", default: ["a"], shape: [-1] },
    { name: "n", type: "long", default: 1, shape: null },
  ]),
});

function refusal(given: Map<string, Data>, strict = false): ApiError {
  try {
    enforceParams(SPECS, given, { strict });
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("they were taken");
}

describe("parameters", () => {
  test("given ones come first, defaults after them, ints become floats where a float is wanted", () => {
    const { params, ignored } = enforceParams(SPECS, new Map<string, Data>([["temperature", 2n]]), { strict: true });
    expect([...(params ?? [])]).toEqual([
      ["temperature", 2],
      ["stop", ["a"]],
      ["n", 1n],
    ]);
    expect(ignored).toEqual([]);
  });

  test("all that do not fit are in one error, by name, without their values", () => {
    const error = refusal(
      new Map<string, Data>([
        ["temperature", "hunter2"],
        ["stop", "hunter2"],
        ["n", 1.0],
      ]),
    );
    expect(error.reason).toBe("SCHEMA_ENFORCEMENT_FAILED");
    expect(error.message).toContain("Invalid parameters found: {('temperature', ");
    expect(error.violations.map(({ field }) => field)).toEqual(["params.temperature", "params.stop", "params.n"]);
    expect(JSON.stringify([error.message, error.violations])).not.toContain("hunter2");
  });

  test("unknown ones are dropped and listed, and refused when strict", () => {
    const given = new Map<string, Data>([["temprature", 1]]);
    expect(enforceParams(SPECS, given, { strict: false }).ignored).toEqual(["temprature"]);
    expect(refusal(given, true).violations.map(({ field }) => field)).toEqual(["params.temprature"]);
  });

  test("a signature without parameters drops all of them, none stays none", () => {
    const given = new Map<string, Data>([["n", 1n]]);
    expect(enforceParams(undefined, given, { strict: false })).toEqual({ params: new Map(), ignored: ["n"] });
    expect(enforceParams(undefined, undefined, { strict: true })).toEqual({ params: undefined, ignored: [] });
    expect(() => enforceParams(undefined, given, { strict: true })).toThrow(ApiError);
  });

  test("an int that float64 does not hold is refused", () => {
    expect(refusal(new Map<string, Data>([["temperature", 2n ** 53n + 1n]])).message).toContain("without loss");
  });

  test("a missing value is taken for any type", () => {
    const { params } = enforceParams(SPECS, new Map<string, Data>([["n", null]]), { strict: true });
    expect(params?.get("n")).toBeNull();
  });
});
