// TokenizerService: text ⇄ tokens, with a model's own tokenizer and template.
import { type Conversation, invalidFields, type ServiceHandlers, type TokenizerService } from "@modelwire/proto";
import type { InferenceHost } from "../inference/host.ts";
import type { CallContext } from "../rpc/context.ts";
import { checkMessages, plainMessage } from "./chat-messages.ts";
import { fromInference } from "./inference-errors.ts";
import type { ModelLoader } from "./model-loader.ts";

type Source = { case: "text"; value: string } | { case: "conversation"; value: Conversation } | { case: undefined };

export function tokenizerService(
  loader: ModelLoader,
  host: InferenceHost,
): ServiceHandlers<typeof TokenizerService, CallContext> {
  async function tokens(ref: string, source: Source, pieces: boolean, signal: AbortSignal) {
    const what = sourceOf(source);
    const { modelId, info } = await loader.load(ref, signal);
    const found = await host.tokenize(modelId, what, { pieces }).catch((error) => Promise.reject(fromInference(error)));
    return { modelId, info, ...found };
  }

  return {
    async tokenize({ model, source, withPieces }, { signal }) {
      const { modelId, ids, pieces } = await tokens(model, source as Source, withPieces, signal);
      return { modelId, tokenIds: [...ids], pieces: pieces ?? [] };
    },
    async countTokens({ model, source }, { signal }) {
      const { modelId, ids, info } = await tokens(model, source as Source, false, signal);
      return { modelId, tokenCount: ids.length, contextLength: info.contextLength };
    },
    async detokenize({ model, tokenIds, withSpecialTokens }, { signal }) {
      const { modelId } = await loader.load(model, signal);
      const text = await host
        .detokenize(modelId, tokenIds, { special: withSpecialTokens })
        .catch((error) => Promise.reject(fromInference(error)));
      return { modelId, text };
    },
  };
}

/** @throws ApiError INVALID_FIELD. */
function sourceOf(source: Source) {
  if (source.case === "text") return { text: source.value };
  if (source.case !== "conversation")
    throw invalidFields([{ field: "source", description: "is missing: give a text or a conversation" }]);
  const messages = source.value.messages.map(plainMessage);
  const problems = checkMessages(messages, "conversation.messages");
  if (problems.length > 0) throw invalidFields(problems);
  return { messages };
}
