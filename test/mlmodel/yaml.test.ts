// YAML as PyYAML has it, held to a table that PyYAML wrote (test/conformance/mlflow/record_yaml.py; CI compares it).
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readYaml } from "../../server/mlmodel/yaml/read.ts";
import { YamlTimestamp, type YamlValue } from "../../server/mlmodel/yaml/value.ts";
import { writeYaml } from "../../server/mlmodel/yaml/write.ts";
import { type Coded, coded, inOneOrder } from "./coded-yaml.ts";

interface Recorded {
  /** [text, written as a value, written as a key] */
  texts: [string, string, string][];
  documents: [YamlValue, string][];
  /** [text, what it is read as, that written again]; the text alone when PyYAML refuses it */
  read: ([string, Coded, string] | [string])[];
  plain: [string, { value?: null | boolean | string; int?: string; float?: string; timestamp?: true; error?: true }][];
}

const table: Recorded = JSON.parse(readFileSync(new URL("pyyaml-table.json", import.meta.url), "utf8"));

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

  test("keys may keep their order, and an entry that is undefined is left out", () => {
    expect(writeYaml({ b: 1, a: undefined, c: [] }, { sortKeys: false })).toBe("b: 1\nc: []\n");
  });
});

describe("reading", () => {
  test("every recorded text comes back from what PyYAML wrote", () => {
    for (const [text, asValue, asKey] of table.texts) {
      expect(readYaml(asValue, "f"), JSON.stringify(text)).toEqual({ k: text });
      expect(Object.keys(readYaml(asKey, "f") as object)).toEqual([text]);
    }
  });

  // What YAML forbids and PyYAML takes: quoted text that goes on left of its key or behind a tab, a comment right behind it,
  // a colon in an anchor.
  const stricter = /Missing closing|a tab stands where only spaces may|Comments must be separated/;

  test("every recorded document, bent ones too, is read and written again as PyYAML does, or refused with it", () => {
    const wrong: unknown[] = [];
    for (const [text, ...expected] of table.read) {
      const found = refusalOf(() => readYaml(text, "f"));
      if (found.refused !== undefined && (stricter.test(found.refused) || text.startsWith("&k0:"))) continue;
      if (found.refused !== undefined ? expected.length > 0 : expected.length === 0)
        wrong.push([text, expected, found]);
      else if (found.refused === undefined) {
        const [value, again] = expected;
        if (JSON.stringify(inOneOrder(coded(found.value))) !== JSON.stringify(inOneOrder(value ?? null)))
          wrong.push([text, value, coded(found.value)]);
        // A scalar alone is written with an end mark, which no file here needs.
        else if (!again?.endsWith("\n...\n") && writeYaml(found.value) !== again)
          wrong.push([text, again, writeYaml(found.value)]);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("a scalar without quotes means what it means to PyYAML", () => {
    for (const [text, loaded] of table.plain) {
      const read = () => (readYaml(`k: ${text}\n`, "f") as { k: YamlValue }).k;
      if (loaded.error) {
        expect(read, text).toThrow(/is no YAML/);
        continue;
      }
      const value = read();
      if (loaded.timestamp) expect(value, text).toBeInstanceOf(YamlTimestamp);
      else if (loaded.value === undefined) expect(coded(value), text).toEqual(loaded);
      else expect(value, text).toBe(loaded.value);
    }
  });

  test("line ends of any kind and a byte order mark change nothing", () => {
    expect(readYaml("\ufeffa: 1\r\nb:\r- x\r\n", "f")).toEqual({ a: 1, b: ["x"] });
  });

  test("a refusal names the file and the line", () => {
    expect(() => readYaml("a: 1\nb: !!python/object/apply:os.system ['id']", "MLmodel")).toThrow(
      /^MLmodel is no YAML that can be read: line 2: the tag .*os\.system is none/,
    );
    expect(() => readYaml("a: b\n\nc: [1\n", "MLmodel")).toThrow(/^MLmodel is no YAML that can be read: line 4: /);
    expect(() => readYaml("a: b\n\u0000", "MLmodel")).toThrow(/line 2: a character that cannot be printed/);
  });
});

describe("a hostile file", () => {
  const cases: [string, string, RegExp][] = [
    [
      "a few lines of aliases that unfold into a billion values",
      Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${Array(10).fill(i === 0 ? "x" : `*a${i - 1}`)}]`).join(
        "\n",
      ),
      /line 6: it unfolds into more than 250000 values/,
    ],
    [
      "merge keys that unfold into a billion entries",
      `m0: &m0 {${Array.from({ length: 100 }, (_, i) => `k${i}: 1`)}}\n${Array.from({ length: 40 }, (_, i) => `m${i + 1}: &m${i + 1} {<<: [${Array(100).fill(`*m${i}`)}]}`).join("\n")}`,
      /line \d+: it unfolds into more than 250000 values/,
    ],
    [
      "a long text that is named a thousand times",
      `a: &a ${"x".repeat(100_000)}\nb: [${Array(1000).fill("*a")}]`,
      /line 2: it unfolds into more than 16777216 characters/,
    ],
    ["a list that holds itself", "a: &a [*a]", /line 1: what the anchor a names holds itself/],
    ["a map that merges itself", "a: &a {<<: *a}", /line 1: what the anchor a names holds itself/],
    ["depth in brackets", "[".repeat(1e6), /line 1: more than 200 collections/],
    ["depth in dashes", "- ".repeat(1e6), /line 1: more than 200 collections/],
    ["depth in question marks", "? ".repeat(1e6), /line 1: more than 200 collections/],
    [
      "depth in indentation",
      Array.from({ length: 3000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      /line \d+: more than 200 collections/,
    ],
    ["nothing but commas", `[${",".repeat(500_000)}`, /line 1: Unexpected , in flow sequence/],
    ["nothing but anchors", "&a ".repeat(200_000), /line 1: A node can have at most one anchor/],
    ["100 MB", "a: b\n".repeat(20_000_000), /more than 16777216 characters/],
    ["a million lines", "a:\n".repeat(1_000_000), /more than 1000000 words and marks/],
    ["a hundred thousand documents", "--- a\n".repeat(100_000), /line 2: a second document/],
    ["an int of a million digits", `a: ${"9".repeat(1_000_000)}`, /more than 4300 digits/],
    ["UTF-16 that was read as UTF-8", "\ufffd\ufffda\0:\0 \0b\0", /line 1: a character that cannot be printed/],
  ];

  test.each(cases)("%s is refused in bounded time", (_, text, message) => {
    const start = performance.now();
    expect(() => readYaml(text, "MLmodel")).toThrow(message);
    // Ten times what it takes on a slow machine.
    expect(performance.now() - start).toBeLessThan(30_000);
  });

  test("a hundred thousand keys take time in proportion to their number", () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `k${i}: v\n`).join("");
    const value = readYaml(text, "MLmodel") as object;
    expect(Object.keys(value).length).toBe(100_000);
    expect(writeYaml(value as YamlValue)).toHaveLength(text.length);
  });

  test("__proto__ is a key like another", () => {
    const value = readYaml("__proto__: {polluted: 1}\nconstructor: 2\n", "MLmodel");
    expect(Object.keys(value as object)).toEqual(["__proto__", "constructor"]);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(writeYaml(value)).toBe("__proto__:\n  polluted: 1\nconstructor: 2\n");
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

function refusalOf(read: () => YamlValue): { value: YamlValue; refused?: undefined } | { refused: string } {
  try {
    return { value: read() };
  } catch (error) {
    return { refused: (error as Error).message };
  }
}
