// A conversation in which the program answers the model's calls of tools by itself: asked, called, asked again. It must never
// know how a question is asked.
import type { CallOptions } from "./call-options.ts";
import type { ChatResult } from "./chat-result.ts";
import type { ChatInput, ChatTurn } from "./chat-types.ts";
import type { Tool, ToolCall } from "./tools.ts";

export interface ToolRunInput<Tools extends readonly Tool[] = readonly Tool[]>
  extends Omit<ChatInput<undefined, Tools>, "n" | "responseFormat" | "tools"> {
  /** Those without a `call` end the run when they are called. */
  tools: Tools;
  /** Most answers of the model; 8 when absent. */
  maxAnswers?: number;
}

/**
 * How it ended. `answer` still has calls in it when one of them has nobody to answer it, when it was cut off, or when there
 * were as many answers as allowed.
 */
export interface ToolRun {
  /** The last answer. */
  answer: ChatResult;
  /** All that was said, the question and the last answer included. */
  messages: ChatTurn[];
}

/**
 * Calls of one answer are answered side by side. A choice of tools other than "auto" holds for the first answer alone, or
 * there would be no end.
 *
 * @param ask gives a whole answer
 * @throws what a call of a tool throws, besides what `ask` throws
 */
export async function runTools(
  ask: (input: ChatInput, options?: CallOptions) => Promise<ChatResult>,
  { maxAnswers = 8, ...input }: ToolRunInput,
  options?: CallOptions,
): Promise<ToolRun> {
  const { messages: said, toolChoice } = input;
  const messages: ChatTurn[] = typeof said === "string" ? [{ role: "user", content: said }] : [...said];
  for (let answers = 1; ; answers++) {
    const answer = await ask({ ...input, messages, toolChoice: answers === 1 ? toolChoice : undefined }, options);
    messages.push(answer.message);
    const tools = answer.toolCalls.map(({ name }) => input.tools.find((tool) => tool.name === name && tool.call));
    const answered = answer.finishReason === "tool_calls" && tools.every((tool) => tool !== undefined);
    if (!answered || answers >= maxAnswers) return { answer, messages };
    const results = answer.toolCalls.map(async (call: ToolCall, i) =>
      call.result(await tools[i]?.call?.(call.arguments(), options?.signal)),
    );
    messages.push(...(await Promise.all(results)));
  }
}
