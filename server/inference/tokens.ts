// Text of a loaded model as tokens, and back. Special tokens count in a text that stands by itself, and never in the
// messages of a conversation.

import { chatPrompt } from "../tokenizer/chat-prompt.ts";
import { InferenceError, type Violation } from "./errors.ts";
import type { LoadedModel } from "./model.ts";
import type { TokenSource, Tokens, Tool } from "./types.ts";

const noTemplate =
  "The folder of this model has no chat template, so it cannot be chatted with. Add chat_template to its tokenizer_config.json, or a chat_template.jinja, and log it again.";

type Parts = Pick<LoadedModel, "tokenizer" | "template">;

/**
 * Ids of a text as it stands, or of a conversation with the beginning of an answer at its end.
 * @param tools that the conversation's model is told of
 * @throws InferenceError TEMPLATE_MISSING; TemplateFailedError; TextTooLongError when there must be more than `maxTokens`
 */
export function idsOf(
  { tokenizer, template }: Parts,
  source: TokenSource,
  maxTokens?: number,
  tools: readonly Tool[] = [],
): number[] {
  if ("text" in source) return tokenizer.encode(source.text, { controls: true, maxTokens });
  if (!template) throw new InferenceError("TEMPLATE_MISSING", noTemplate);
  return chatPrompt(template, tokenizer, source.messages, maxTokens, tools);
}

/** @throws as `idsOf` */
export function tokenize(model: Parts, source: TokenSource, pieces: boolean): Tokens {
  const ids = idsOf(model, source);
  return pieces ? { ids, pieces: ids.map((id) => model.tokenizer.token(id) ?? "") } : { ids };
}

/** Violations listed of one call; a list of ids may be as long as a message. */
const mostViolations = 100;

/** @throws InferenceError INVALID_OPTION with the ids that the model does not have */
export function detokenize({ tokenizer, info }: LoadedModel, ids: readonly number[], special: boolean): string {
  const violations = ids.flatMap((id, index): Violation[] => {
    if (Number.isInteger(id) && id >= 0 && id < info.vocabSize) return [];
    const description = `must be a token id from 0 to ${info.vocabSize - 1}; found ${id}.`;
    return [{ field: `token_ids[${index}]`, description }];
  });
  if (violations.length > 0)
    throw new InferenceError("INVALID_OPTION", `${violations.length} token ids are not of this model.`, {
      violations: violations.slice(0, mostViolations),
    });
  return tokenizer.decode(special ? ids : ids.filter((id) => !tokenizer.isHidden(id)));
}
