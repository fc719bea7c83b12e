// Messages to the token ids of a prompt. Control tokens come from the template alone: those spelled out in a message are
// broken up by a mark before the template sees them, and the mark is taken out again once the tokens have been found.
// Every other character reaches the template as it is, so what a template trims, compares or splits stays right, and an
// ordinary conversation gives exactly the ids of its rendered text.

import type { ChatTemplate, TemplateMessage } from "./chat-template.ts";
import { TemplateFailedError } from "./errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** @throws TemplateFailedError; TextTooLongError when the prompt must have more than `maxTokens` tokens */
export function chatPrompt(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly TemplateMessage[],
  maxTokens?: number,
): number[] {
  const mark = unusedMark(template.source, messages);
  const shielded = messages.map((message, index) => {
    // A role is part of the template's own markup, so it may not bring any.
    if (!/^[A-Za-z][\w-]*$/.test(message.role)) {
      throw new TemplateFailedError(
        `messages[${index}].role must be a word such as user; found ${JSON.stringify(message.role)}.`,
      );
    }
    return {
      role: message.role,
      content: tokenizer.shield(message.content, mark),
      ...(message.name === undefined ? {} : { name: tokenizer.shield(message.name, mark) }),
    };
  });
  const text = template.render(shielded, tokenizer.specialTokens);
  return tokenizer.encode(text, { controls: true, mark, maxTokens });
}

/** A private-use character that neither the template nor a message holds. */
function unusedMark(source: string, messages: readonly TemplateMessage[]): string {
  const texts = [source, ...messages.flatMap(({ content, name = "" }) => [content, name])];
  for (let code = 0xe000; code < 0xf900; code++) {
    const mark = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(mark))) return mark;
  }
  throw new TemplateFailedError("The messages use every private-use character of Unicode's basic plane.");
}
