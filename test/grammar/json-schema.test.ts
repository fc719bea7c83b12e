import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import { expect, test } from "vitest";
import { InvalidGrammarError } from "../../server/grammar/errors.ts";
import { GrammarCompiler } from "../../server/grammar/grammar-compiler.ts";
import { schemas } from "./schemas.ts";
import { bundled, made, type TestVocabulary } from "./vocabularies.ts";
import { walk } from "./walk.ts";

const vocabularies = [await bundled(), made("byte fallback"), made("byte level")];
const compilers = new Map(vocabularies.map((v) => [v, new GrammarCompiler(v.tokenizer, v)]));

function validator(schema: unknown): (value: unknown) => boolean {
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  return ajv.compile(schema as object) as (value: unknown) => boolean;
}

/** @returns whether it ended; undefined for a schema that nothing fulfils */
function tryOne(vocabulary: TestVocabulary, schema: unknown, seed: number): boolean | undefined {
  const format = { type: "json_schema", schema: JSON.stringify(schema) } as const;
  try {
    const { text, ended } = walk(compilers.get(vocabulary)!, vocabulary, format, { seed });
    if (!ended) return false;
    const value: unknown = JSON.parse(text);
    if (!validator(schema)(value)) throw new Error(`${text} does not fulfil ${JSON.stringify(schema)}`);
    return true;
  } catch (error) {
    if (!(error instanceof InvalidGrammarError)) throw error;
    expect(error.violations[0]!.description).toMatch(/fulfilled by no text/);
    return undefined;
  }
}

test.each([
  [1000, "bundled", vocabularies[0]!],
  [40, "byte fallback", vocabularies[1]!],
  [40, "byte level", vocabularies[2]!],
])(
  "every finished answer to %d random schemas parses and fulfils its schema, vocabulary %s",
  (numRuns, _, vocabulary) => {
    const results: (boolean | undefined)[] = [];
    fc.assert(
      fc.property(schemas, fc.nat(), (schema, seed) => {
        results.push(tryOne(vocabulary, schema, seed));
      }),
      { numRuns, seed: 6, endOnFailure: true },
    );
    const possible = results.filter((ended) => ended !== undefined);
    expect(possible.length).toBeGreaterThan(0.8 * numRuns);
    // Words of a made vocabulary seldom close anything.
    expect(possible.filter(Boolean).length).toBeGreaterThan(0.5 * possible.length);
  },
  180_000,
);

test.each([
  [{ type: "object", not: {} }, ["/not"]],
  [
    { properties: { a: { uniqueItems: true, items: {} }, "b/c": { multipleOf: 3 } } },
    ["/properties/a/uniqueItems", "/properties/b~1c/multipleOf"],
  ],
  [{ if: {}, else: {}, dependentRequired: {} }, ["/if", "/else", "/dependentRequired"]],
  [{ patternProperties: {}, propertyNames: {}, contains: {} }, ["/patternProperties", "/propertyNames", "/contains"]],
  [{ type: "strange" }, ["/type"]],
  [{ type: "string", format: "iri" }, ["/format"]],
  [{ type: "string", pattern: "a(?=b)" }, ["/pattern"]],
  [{ type: "string", pattern: "a", minLength: 2 }, ["/minLength"]],
  [{ type: "string", minLength: 3, maxLength: 2 }, ["/maxLength"]],
  [{ type: "number", minimum: 0.5 }, ["/minimum"]],
  [{ oneOf: [{ type: "string" }, { type: ["string", "null"] }] }, ["/oneOf"]],
  [{ anyOf: [{}], properties: {} }, ["/properties"]],
  [{ allOf: [{ properties: { a: {} } }, { properties: { a: {} } }] }, ["/allOf"]],
  [{ $ref: "http://elsewhere/schema" }, ["/$ref"]],
  [{ $ref: "#/$defs/none", $defs: {} }, ["/$ref"]],
  [{ properties: { a: {} }, required: ["b"] }, ["/required"]],
  [{ properties: { a: {} }, minProperties: 3 }, ["/minProperties"]],
  [{ const: 1, minimum: 0 }, ["/minimum"]],
  [{ $ref: "#" }, [""]],
  [{ type: "integer", minimum: 5, maximum: 4 }, [""]],
  [false, [""]],
])("a schema that cannot be kept to is refused, with every place: %j", (schema, fields) => {
  let violations: readonly { field: string }[] = [];
  try {
    compilers.get(vocabularies[0]!)!.compile({ type: "json_schema", schema: JSON.stringify(schema) });
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidGrammarError);
    violations = (error as InvalidGrammarError).violations;
  }
  expect(violations.map(({ field }) => field.replace(/^rule .*/, ""))).toEqual(fields);
});

test("a property named __proto__ is one like any other", () => {
  const schema = '{"type":"object","properties":{"__proto__":{"const":1}},"required":["__proto__"]}';
  const { text } = walk(compilers.get(vocabularies[0]!)!, vocabularies[0]!, { type: "json_schema", schema });
  expect(text.replaceAll(/\s/g, "")).toBe('{"__proto__":1}');
});

test("a property that is not named cannot take a named one's place", () => {
  const [tiny] = vocabularies;
  const schema = '{"properties":{"ab":{"const":1}},"required":["ab"],"additionalProperties":{"const":2}}';
  const constraint = compilers.get(tiny!)!.compile({ type: "json_schema", schema }, { afterText: true }).start();
  const byte = (character: string) =>
    Array.from({ length: tiny!.vocabSize }, (_, id) => id).find((id) => {
      const bytes = tiny!.tokenizer.isHidden(id) ? null : tiny!.tokenizer.bytes(id);
      return bytes?.length === 1 && bytes[0] === character.charCodeAt(0);
    })!;
  for (const character of '{"ab":1,"ab') constraint.accept(byte(character));
  const logits = new Float32Array(tiny!.vocabSize);
  constraint.mask(logits);
  expect([logits[byte('"')], logits[byte("c")]]).toEqual([-Infinity, 0]);
});
