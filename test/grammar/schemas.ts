// Random JSON schemas of what the grammars keep to.
import fc from "fast-check";

const name = fc.oneof(
  fc.constantFrom("a", "name", "id", "näme", 'quo"te', "back\\slash", "a b", "", "line\nend", "😀"),
  fc.string({ maxLength: 6, unit: "grapheme" }),
);
const count = fc.nat({ max: 4 });
const leaf = fc.oneof(
  fc.constant({}),
  fc.constant(true),
  fc.record({ type: fc.constantFrom("string", "boolean", "null", "integer", "number", "object", "array") }),
  fc.record(
    { type: fc.constant("string"), minLength: count, maxLength: fc.integer({ min: 4, max: 20 }) },
    { requiredKeys: ["type"] },
  ),
  fc.record({
    type: fc.constant("string"),
    format: fc.constantFrom("date", "time", "date-time", "uuid", "ipv4", "email"),
  }),
  fc.record({
    type: fc.constant("string"),
    pattern: fc.constantFrom(
      "^[a-z]+$",
      "^\\d{3}-\\d{2,4}$",
      "x",
      '^["\\\\\\n]{2}$',
      "^(é|ü|你)+$",
      "^a.b",
      "[^a-f]$",
      "^\\w+@\\S+$",
      "a|b",
    ),
  }),
  bounds("integer", fc.integer({ min: -2000, max: 2000 })),
  bounds("integer", fc.maxSafeInteger()),
  bounds("number", fc.integer({ min: -50, max: 50 })),
  bounds("number", fc.integer({ min: -1e9, max: 1e9 })),
  fc.record({ enum: fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 5 }) }),
  fc.record({ const: fc.jsonValue({ maxDepth: 2 }) }),
);

function bounds(type: string, value: fc.Arbitrary<number>): fc.Arbitrary<object> {
  return fc
    .tuple(value, value, fc.boolean(), fc.boolean(), fc.constantFrom("both", "low", "high"))
    .map(([a, b, openLow, openHigh, which]) => ({
      type,
      ...(which !== "high" && { [openLow ? "exclusiveMinimum" : "minimum"]: Math.min(a, b) }),
      ...(which !== "low" && { [openHigh ? "exclusiveMaximum" : "maximum"]: Math.max(a, b) }),
    }));
}

const { schema } = fc.letrec<{ schema: unknown; properties: Record<string, unknown> }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    leaf,
    fc.record(
      { type: fc.constant("array"), items: tie("schema"), minItems: count, maxItems: fc.integer({ min: 4, max: 6 }) },
      { requiredKeys: ["type", "items"] },
    ),
    fc.record(
      {
        type: fc.constant("array"),
        prefixItems: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }),
        minItems: count,
      },
      { requiredKeys: ["type", "prefixItems"] },
    ),
    fc
      .tuple(
        tie("properties"),
        fc.infiniteStream(fc.boolean()),
        fc.option(fc.oneof(fc.boolean(), tie("schema")), { nil: undefined }),
      )
      .map(([properties, needed, additionalProperties]) => ({
        type: "object",
        properties,
        required: Object.keys(properties).filter(() => needed.next().value === true),
        ...(additionalProperties !== undefined && { additionalProperties }),
      })),
    fc.record({ type: fc.constant("object"), additionalProperties: tie("schema") }),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ allOf: fc.tuple(tie("schema")) }),
    fc.tuple(tie("schema"), tie("schema")).map(([a, b]) => ({
      oneOf: [
        { type: "object", properties: { kind: { const: "a" }, a }, required: ["kind"] },
        { type: "object", properties: { kind: { enum: ["b", "c"] }, b }, required: ["kind", "b"] },
        { type: ["null", "boolean"] },
      ],
    })),
    fc.record({
      type: fc.uniqueArray(fc.constantFrom("string", "integer", "null", "boolean"), { minLength: 1, maxLength: 3 }),
    }),
  ),
  properties: fc.dictionary(name, tie("schema"), { maxKeys: 4, noNullPrototype: true }),
}));

/** Some refer to themselves. */
export const schemas: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: schema, weight: 9 },
  {
    arbitrary: schema.map((value) => ({
      $defs: {
        node: {
          type: "object",
          properties: {
            value,
            next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/node" }] },
            kids: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 2 },
          },
          required: ["next"],
        },
      },
      $ref: "#/$defs/node",
    })),
    weight: 1,
  },
);
