import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ChatTemplate } from "../../server/tokenizer/chat-template.ts";
import { TemplateFailedError, TemplateInvalidError, TemplateMissingError } from "../../server/tokenizer/errors.ts";

const messages = [{ role: "user", content: "hi" }];

describe("a chat template", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "template-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });
  const put = (name: string, content: unknown) =>
    writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  const rendered = async () => (await ChatTemplate.open(folder)).render(messages);

  test("is taken from chat_template.jinja, then chat_template.json, then tokenizer_config.json", async () => {
    await put("tokenizer_config.json", { chat_template: "config" });
    expect(await rendered()).toBe("config");
    await put("chat_template.json", { chat_template: "json" });
    expect(await rendered()).toBe("json");
    await put("chat_template.jinja", "jinja");
    expect(await rendered()).toBe("jinja");
  });

  test("is the default of a list of named ones", async () => {
    await put("tokenizer_config.json", {
      chat_template: [
        { name: "tools", template: "t" },
        { name: "default", template: "d" },
      ],
    });
    expect(await rendered()).toBe("d");
  });

  test("that is missing is told with what to do", async () => {
    await put("tokenizer_config.json", {});
    await expect(ChatTemplate.open(folder)).rejects.toThrow(TemplateMissingError);
    await expect(ChatTemplate.open(folder)).rejects.toThrow("chat_template.jinja");
  });

  test("that cannot be parsed, or is too long, is refused", () => {
    expect(() => new ChatTemplate("{% for %}")).toThrow(TemplateInvalidError);
    expect(() => new ChatTemplate("x".repeat(300_000))).toThrow("300000 characters");
  });

  test("refuses messages with its own words", () => {
    const template = new ChatTemplate("{{ raise_exception('Only tools, please') }}");
    expect(() => template.render(messages)).toThrow(TemplateFailedError);
    expect(() => template.render(messages)).toThrow("Only tools, please");
  });

  test("sees the special tokens, and that an answer follows", () => {
    const template = new ChatTemplate("{{ bos_token }}{{ messages[0]['content'] }}{{ add_generation_prompt }}");
    expect(template.render(messages, { bos_token: "<s>" })).toBe("<s>hitrue");
  });

  test.each([
    ["a range that would end the process", "{% for i in range(1000000000) %}x{% endfor %}", /more than 100000 items/],
    ["an endless range", "{{ range(0, 1 / 0) }}", /more than 100000 items/],
    ["lists that double", `{% set n = namespace(a=[1]) %}${"{% set n.a = n.a + n.a %}".repeat(40)}`, /100000 items/],
    ["texts that double", `{% set n = namespace(a="x") %}${"{% set n.a = n.a ~ n.a %}".repeat(40)}`, /characters/],
    ["loops within loops", loops(3, "x"), /longer than 2000 ms/],
    ["empty loops within loops", loops(3, ""), /longer than 2000 ms/],
    ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /refuses these messages/],
  ])("with %s fails in bounded time", (_, source, message) => {
    const template = new ChatTemplate(source);
    expect(() => template.render(messages)).toThrow(
      expect.toSatisfy((error) => error instanceof TemplateFailedError && message.test(error.message)),
    );
  });

  test("has what Jinja and Hugging Face give it: range, strftime_now, raise_exception, constants in both spellings", () => {
    const source =
      "{{ range(3) }} {{ range(1, 6, 2) }} {{ range(2, 0, -1) }} {{ range(2, 0) }} {{ strftime_now('%Y') | length }} {{ true == True and none is none }}";
    expect(new ChatTemplate(source).render(messages)).toBe("[0, 1, 2] [1, 3, 5] [2, 1] [] 4 true");
    expect(() => new ChatTemplate("{{ raise_exception('no') }}").render(messages)).toThrow(/no$/);
  });
});

/** Loops of a hundred thousand rounds within each other. */
function loops(depth: number, body: string): string {
  return `${"{% for i in range(100000) %}".repeat(depth)}${body}${"{% endfor %}".repeat(depth)}`;
}
