// YAML as PyYAML has it, held to a table that PyYAML wrote (test/conformance/mlflow/record_yaml.py; CI compares it).
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readYaml } from "../../server/mlmodel/yaml-read.ts";
import { plainKind } from "../../server/mlmodel/yaml-scalar.ts";
import { writeYaml, type YamlValue } from "../../server/mlmodel/yaml-write.ts";

interface Table {
  texts: [string, string, string][];
  documents: [YamlValue, string][];
  plain: [string, { value?: null | boolean | string; int?: string; float?: string; timestamp?: true; error?: true }][];
}

const table: Table = JSON.parse(readFileSync(new URL("pyyaml-table.json", import.meta.url), "utf8"));

describe("writing", () => {
  test("every recorded text, as a value and as a key, is written as PyYAML writes it, to the byte", () => {
    for (const [text, asValue, asKey] of table.texts) {
      expect(writeYaml({ k: text }), JSON.stringify(text)).toBe(asValue);
      expect(writeYaml({ [text]: 1 }), `key ${JSON.stringify(text)}`).toBe(asKey);
    }
  });

  test("every recorded document is written as PyYAML writes it, to the byte", () => {
    for (const [document, text] of table.documents) expect(writeYaml(document)).toBe(text);
  });
});

describe("reading", () => {
  test("every recorded text comes back from what PyYAML wrote", () => {
    for (const [text, asValue, asKey] of table.texts) {
      expect(readYaml(asValue, "f"), JSON.stringify(text)).toEqual({ k: text });
      expect(Object.keys(readYaml(asKey, "f") as object)).toEqual([text]);
    }
  });

  test("a scalar without quotes means what it means to PyYAML", () => {
    for (const [text, loaded] of table.plain) {
      if (loaded.error) continue;
      const { k: value } = readYaml(`k: ${text}\n`, "f") as { k: unknown };
      if (loaded.timestamp) expect(plainKind(text), text).toBe("timestamp");
      else if (loaded.int !== undefined) expect(String(value), text).toBe(loaded.int);
      else if (loaded.float !== undefined)
        expect(value, text).toBe(Number(loaded.float.replace("inf", "Infinity").replace("nan", "NaN")));
      else expect(value, text).toBe(loaded.value);
    }
  });

  test("an 18-digit id is exact, and a key for text keeps the text", () => {
    expect(readYaml("a: 123456789012345678\nrun_id: 0017\n", "f", { textKeys: new Set(["run_id"]) })).toEqual({
      a: 123456789012345678n,
      run_id: "0017",
    });
  });

  test("what is no plain data, or no YAML, is refused with the file's name", () => {
    expect(() => readYaml("a: !!python/object/apply:os.system ['id']", "MLmodel")).toThrow(/^MLmodel is no YAML/);
    expect(() => readYaml("a: [1", "MLmodel")).toThrow(/^MLmodel is no YAML/);
  });

  test("a few lines of aliases do not unfold into a billion values", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 12; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    expect(() => readYaml(lines.join("\n"), "MLmodel")).toThrow(/more than 100000 values/);
  });
});

describe("both", () => {
  const text = fc.string({ unit: "binary", maxLength: 150 }).filter((s) => Buffer.from(s).toString() === s);
  const value: fc.Arbitrary<YamlValue> = fc.letrec<{ value: YamlValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.constantFrom("yes", "1e3", "2024-01-01", "~", "12:30:45", "a: b", "word ".repeat(30)),
      fc.boolean(),
      fc.constant(null),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }).filter((n) => !Number.isInteger(n)),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(text, tie("value"), { maxKeys: 4 }),
    ),
  })).value;

  test("what is written is read back the same, whatever it is", () => {
    fc.assert(
      fc.property(value, (written) => {
        expect(readYaml(writeYaml({ v: written }), "f")).toEqual({ v: written });
      }),
      { numRuns: 500 },
    );
  });
});
