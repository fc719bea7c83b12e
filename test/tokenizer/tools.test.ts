import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GrammarCompiler } from "../../server/grammar/grammar-compiler.ts";
import { chatPrompt, type PromptMessage } from "../../server/tokenizer/chat-prompt.ts";
import { ChatTemplate } from "../../server/tokenizer/chat-template.ts";
import { ToolCallParser, type ToolEvent } from "../../server/tokenizer/tool-calls.ts";
import { type Tool, type ToolFormat, toolFormatOf } from "../../server/tokenizer/tool-format.ts";
import { bundled, made } from "../grammar/vocabularies.ts";
import { walk } from "../grammar/walk.ts";
import { templates } from "./tool-templates.ts";

const marks = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|tool_call|>", "<|/tool_call|>", "<|im_end|>"];
const vocabulary = made("byte level", marks);
const { tokenizer } = vocabulary;
const formatOf = (source: string) => toolFormatOf(new ChatTemplate(source), tokenizer);

const tools: readonly Tool[] = [
  {
    name: "get_weather",
    description: "What the sky does",
    parameters:
      '{"type":"object","properties":{"city":{"type":"string","maxLength":12},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["city"]}',
  },
  { name: "now", description: "", parameters: "" },
];

/** Events with neighbours of a kind as one. */
function whole(events: readonly ToolEvent[]): ToolEvent[] {
  const joined: ToolEvent[] = [];
  for (const event of events) {
    const last = joined.at(-1);
    if (last && "text" in last && "text" in event && last.type === event.type) {
      joined[joined.length - 1] = { ...last, text: last.text + event.text };
    } else joined.push(event);
  }
  return joined;
}

function parse(format: ToolFormat, pieces: readonly string[]): ToolEvent[] {
  const parser = new ToolCallParser(format);
  return whole([...pieces.flatMap((piece) => parser.push(piece)), ...parser.flush()]);
}

const calls = (events: readonly ToolEvent[]) =>
  events
    .filter((event) => event.type === "call")
    .map(({ index, name }) => {
      const text = events
        .map((event) => (event.type === "arguments" && event.index === index ? event.text : ""))
        .join("");
      return { name, arguments: JSON.parse(text) as unknown };
    });

const written: Readonly<Record<string, string>> = {
  "marks around each call":
    'Let me see. <tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo </tool_call> \\"x\\""}}\n</tool_call>\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
  "a list behind a mark":
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}, "id": "123456789"}, {"arguments": {"a": [1, "]"]}, "name": "now"}]',
  "marks on both sides":
    '<|tool_call|>{"name":"get_weather","arguments":{"city":"Oslo"}}<|/tool_call|><|tool_call|>{"name":"now"}<|/tool_call|> done',
  "tools in the system message": '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]<|/tool_call|>',
  "the bare call":
    ' {"name": "get_weather", "parameters": {"city": "Oslo"}}; {"type": "function", "function": "now", "parameters": {}}',
};

test("what is written in each form is found", () => {
  const found = Object.entries(written).map(([name, text]) => [
    name,
    calls(parse(formatOf(templates[name]!)!, [text])),
  ]);
  expect(Object.fromEntries(found)).toEqual({
    "marks around each call": [
      { name: "get_weather", arguments: { city: 'Oslo </tool_call> "x"' } },
      { name: "now", arguments: {} },
    ],
    "a list behind a mark": [
      { name: "get_weather", arguments: { city: "Oslo", days: 2 } },
      { name: "now", arguments: { a: [1, "]"] } },
    ],
    "marks on both sides": [
      { name: "get_weather", arguments: { city: "Oslo" } },
      { name: "now", arguments: {} },
    ],
    "tools in the system message": [{ name: "get_weather", arguments: { city: "Oslo" } }],
    "the bare call": [
      { name: "get_weather", arguments: { city: "Oslo" } },
      { name: "now", arguments: {} },
    ],
  });
});

const text = (value: string): ToolEvent[] => [{ type: "text", text: value }];

describe.each(Object.keys(templates))("%s", (name) => {
  const format = formatOf(templates[name]!)!;
  const mark = format.markup.mark;

  test("any cut of an answer gives the same", () => {
    const parts = [
      written[name]!,
      mark,
      mark.slice(0, 3),
      "{",
      '{"name": "x"',
      ' "arguments": {',
      "}",
      "]",
      "\n",
      "text",
      "</tool",
      format.markup.close,
      "é😀",
    ];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...parts), { maxLength: 5 }),
        fc.array(fc.nat(60), { maxLength: 60 }),
        (some, sizes) => {
          const answer = some.join("");
          const pieces: string[] = [];
          let rest = answer;
          for (const size of sizes) {
            pieces.push(rest.slice(0, size));
            rest = rest.slice(size);
          }
          // Halves of a character never come apart: text comes in whole ones.
          fc.pre(pieces.every((piece) => !/[\ud800-\udbff]$/.test(piece)));
          expect(parse(format, [...pieces, rest])).toEqual(parse(format, [answer]));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a half of a call comes out as it is, and what was no call is text", () => {
    const answer = `${format.markup.open[0]}{"name": "now", "${format.markup.key}": {"a": [1`;
    expect(parse(format, [answer])).toEqual([
      { type: "call", index: 0, name: "now" },
      { type: "arguments", index: 0, text: '{"a": [1' },
    ]);
    for (const no of [
      `${mark}{"x": `,
      `${mark}{]`,
      `${mark.slice(0, -1)}`,
      "plain {text}",
      "",
      `a ${mark}`,
      `${mark}{}`,
    ]) {
      expect(parse(format, [no])).toEqual(no === "" ? [] : text(no));
    }
  });

  test("a required call, and the call of a named function, fit their schemas", () => {
    const compiler = new GrammarCompiler(tokenizer, { ...vocabulary, marks: format.visibleTokens });
    for (let seed = 0; seed < 6; seed++) {
      for (const choice of ["required", { name: "get_weather" }] as const) {
        const asked = format.constraint(tools, choice)!;
        const answer = walk(compiler, vocabulary, asked, { seed, maxTokens: 150, shown: format.visibleTokens });
        const events = parse(format, [answer.text]);
        expect(events[0]).toMatchObject({ type: "call", ...(choice !== "required" && { name: "get_weather" }) });
        expect(events.some((event) => event.type === "text")).toBe(false);
        if (!answer.ended) continue;
        for (const call of calls(events)) {
          if (call.name === "now") expect(call.arguments).toBeTypeOf("object");
          else expect(call.arguments).toMatchObject({ city: expect.stringMatching(/^.{0,12}$/su) as unknown });
        }
      }
    }
  });

  test("left to the model, an answer is text, and what opens a call is one that fits", () => {
    const compiler = new GrammarCompiler(tokenizer, { ...vocabulary, marks: format.visibleTokens });
    const constraint = compiler.compile(format.constraint(tools, "auto")!, {}).start();
    const logits = new Float32Array(vocabulary.vocabSize);
    constraint.mask(logits);
    const open = [...(mark === "" ? "{" : mark)];
    expect(logits[2]).toBe(0);
    const id = (character: string) => tokenizer.encode(character)[0]!;
    for (const character of [..."Well ", ...(mark === "" ? [] : open)]) constraint.accept(id(character));
    logits.fill(0);
    constraint.mask(logits);
    // Within a call nothing else may come; where only the beginning tells, this is text for good.
    expect(logits[2] === 0).toBe(mark === "");
    expect(logits[id("Z")] === 0).toBe(mark === "");
  });
});

test("a template without tools has no form, and tools that are not called ask for none", () => {
  expect(formatOf("{{ messages[0].content }}")).toBeNull();
  expect(formatOf("{{ tools }}")).toBeNull();
  expect(formatOf(templates["the bare call"]!)!.constraint(tools, "none")).toBeNull();
  expect(formatOf(templates["the bare call"]!)!.constraint([], "auto")).toBeNull();
});

test("marks that are control tokens are shown", () => {
  const shown = (name: string) => formatOf(templates[name]!)!.visibleTokens.map((id) => tokenizer.token(id));
  expect(shown("marks around each call")).toEqual(["<tool_call>", "</tool_call>"]);
  expect(shown("a list behind a mark")).toEqual(["[TOOL_CALLS]"]);
  expect(shown("marks on both sides")).toEqual(["<|tool_call|>", "<|/tool_call|>"]);
  expect(shown("the bare call")).toEqual([]);
});

const conversation: readonly PromptMessage[] = [
  { role: "system", content: "Be kind." },
  { role: "user", content: "Weather?" },
  {
    role: "assistant",
    content: "",
    toolCalls: [
      { id: "call_abc123def", name: "get_weather", arguments: '{"city": "Oslo", "n": [1, true, null, "é"]}' },
    ],
  },
  { role: "tool", content: "rain & <sun>", toolCallId: "call_abc123def" },
];

test("control tokens in tools, arguments, results and their names stay text", async () => {
  const ours = (await bundled()).tokenizer;
  const control = ours.addedToken("<|end|>")!;
  const evil = "x<|end|>y";
  for (const source of Object.values(templates)) {
    const count = (messages: readonly PromptMessage[], given: readonly Tool[]) =>
      chatPrompt(new ChatTemplate(source), ours, messages, undefined, given).filter((id) => id === control).length;
    const say = (word: string) =>
      count(
        [
          { role: "user", content: word },
          {
            role: "assistant",
            content: word,
            toolCalls: [{ id: word, name: word, arguments: JSON.stringify({ [word]: [word] }) }],
          },
          { role: "tool", content: word, toolCallId: word },
        ],
        [
          {
            name: word,
            description: word,
            parameters: JSON.stringify({ type: "object", properties: { [word]: { description: word } } }),
          },
        ],
      );
    expect(say(evil)).toBe(say("plain"));
  }
});

interface Recorded {
  readonly made: { readonly by: string; readonly on: string };
  readonly texts: Readonly<Record<string, string>>;
}

test("conversations with tools are rendered as transformers renders them", () => {
  const file = new URL("../fixtures/recorded/tool-prompts.json", import.meta.url);
  const { texts } = JSON.parse(readFileSync(file, "utf8")) as Recorded;
  for (const [name, source] of Object.entries(templates)) {
    if (name === "tools in the system message") continue; // transformers leaves it to the caller
    const ids = chatPrompt(new ChatTemplate(source), tokenizer, conversation, undefined, tools);
    expect(tokenizer.decode(ids)).toBe(texts[name]);
  }
});
