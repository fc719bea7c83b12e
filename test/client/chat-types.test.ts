// Types as code: what a schema or a tool says is what its answer is. `tsc -p test` proves the lines that must not compile.
import { expect, test } from "vitest";
import type { CallOf, Chat, ChatInput, ChatResult, FromSchema, JsonOf } from "../../client/index.ts";
import { ToolCall, tool } from "../../client/index.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(is: Same<A, B>) => expect(is).toBe(true);

test("values, lists and objects of a schema have their types", () => {
  same<FromSchema<{ type: "string" }>, string>(true);
  same<FromSchema<{ type: "integer" }>, number>(true);
  same<FromSchema<{ type: ["string", "null"] }>, string | null>(true);
  same<FromSchema<{ type: readonly ["number", "boolean"] }>, number | boolean>(true);
  same<FromSchema<{ const: 5 }>, 5>(true);
  same<FromSchema<{ type: "string"; enum: readonly ["a", "b"] }>, "a" | "b">(true);
  same<FromSchema<{ anyOf: [{ type: "string" }, { type: "array"; items: { type: "number" } }] }>, string | number[]>(
    true,
  );
  same<FromSchema<{ type: "array" }>, unknown[]>(true);
  same<FromSchema<{ type: "object"; additionalProperties: { type: "number" } }>, { [key: string]: number }>(true);
  type Person = {
    type: "object";
    properties: { name: { type: "string" }; age: { type: "integer" } };
    required: ["name", "else"];
  };
  same<FromSchema<Person>, { name: string; age?: number; else: unknown }>(true);
});

test("what the types do not know is wider than the schema, never narrower", () => {
  same<FromSchema<{ $ref: "#/$defs/x" }>, unknown>(true);
  same<FromSchema<{ properties: { a: { type: "string" } } }>, unknown>(true);
  same<FromSchema<{ type: string }>, unknown>(true);
  same<FromSchema<string>, unknown>(true);
  same<FromSchema<{ type: "array"; prefixItems: [{ type: "string" }]; items: { type: "number" } }>, unknown[]>(true);
});

test("an answer's JSON has the type of the schema that stands in the question", () => {
  const ask = (chat: Chat) =>
    chat.complete({
      model: "m",
      messages: "x",
      responseFormat: {
        jsonSchema: { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"] },
      },
    });
  type Json = ReturnType<Awaited<ReturnType<typeof ask>>["json"]>;
  same<Json, { city: "Rome" | "Oslo" }>(true);
  same<JsonOf<{ jsonObject: true }>, { [key: string]: unknown }>(true);
  same<JsonOf<{ regex: string }>, unknown>(true);
  const plain = (chat: Chat) => chat.complete({ model: "m", messages: "x" });
  same<Awaited<ReturnType<typeof plain>>["json"], () => unknown>(true);
  // An answer of known types is one of unknown ones too.
  const general: (chat: Chat) => Promise<ChatResult> = ask;
  expect(general).toBe(ask);
});

test("a call's name says which arguments it has", () => {
  const weather = tool({
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  });
  const now = tool({ name: "now" });
  type Call = CallOf<typeof weather | typeof now>;
  const read = (call: Call): string => {
    if (call.name === "now") return Object.keys(call.arguments()).join();
    // @ts-expect-error: only these two
    if (call.name === "then") return "";
    // @ts-expect-error: the city is called city
    call.arguments().place;
    return call.arguments().city;
  };
  expect(read(new ToolCall<"weather", { city: string }>("call_1", "weather", '{"city":"Rome"}'))).toBe("Rome");
});

test("what makes no sense does not compile", () => {
  const ask = (chat: Chat) => {
    // @ts-expect-error: json_object is true or absent
    void chat.complete({ model: "m", messages: "x", responseFormat: { jsonObject: false } });
    // @ts-expect-error: no such tool
    void chat.complete({ model: "m", messages: "x", tools: [{ name: "f" }], toolChoice: { name: "g" } });
    // @ts-expect-error: a misspelt option
    void chat.complete({ model: "m", messages: "x", repetition_penalty: 1 });
    // @ts-expect-error: parameters are a schema, not its text
    void chat.complete({ model: "m", messages: "x", tools: [{ name: "f", parameters: "{}" }] });
  };
  expect(ask).toBeTypeOf("function");
  const input: ChatInput = { model: "m", messages: "x", toolChoice: "auto", tools: [tool({ name: "f" })] };
  expect(input.tools).toHaveLength(1);
});
