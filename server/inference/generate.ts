// One request for text in the worker: messages or a prompt → prompt ids → the engine's tokens → text. It knows nothing of threads and
// messages between them; who iterates it sets the pace.

import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { Engine } from "../decoder/engine.ts";
import { answerSeed } from "../decoder/random.ts";
import type { GenerateInput } from "../decoder/request.ts";
import type { TokenEvent } from "../decoder/sequence.ts";
import { TextTooLongError } from "../tokenizer/errors.ts";
import { Answer, type AnswerPiece } from "./answer.ts";
import { InferenceError } from "./errors.ts";
import { type Format, toolsOf } from "./formats.ts";
import type { LoadedModel } from "./model.ts";
import { answerRoom, invalidOptions, resolveOptions, sequenceOptions } from "./resolve-options.ts";
import { Timing } from "./timing.ts";
import { idsOf } from "./tokens.ts";
import type { GenerateEvent, GenerateRequest, ResolvedOptions } from "./types.ts";

/**
 * @param randomSeed used when the request has none
 * @throws InferenceError or an error that `toInferenceError` knows, or the signal's reason
 */
export async function* generateText(
  model: LoadedModel,
  request: GenerateRequest,
  signal: AbortSignal,
  randomSeed: () => bigint,
): AsyncGenerator<GenerateEvent, void, undefined> {
  const { engine, tokenizer, info } = model;
  const wanted = resolveOptions(request, info);
  const format = model.formats.of(request);
  const ids = promptIds(model, request);
  const seed = request.options.seed ?? randomSeed();
  const maxTokens = request.options.maxTokens ?? answerRoom(info, ids.length);
  const options: ResolvedOptions = { ...wanted, maxTokens: maxTokens ?? 0 };

  setMaxListeners(0, signal); // every answer listens to it
  const input = { ids, options: sequenceOptions(wanted, seed, maxTokens), ...standing(request) };
  const readers = startAnswers(engine, input, format, options.n, signal);
  // What goes on with a text keeps the space between the two, as in onnxruntime-genai, control tokens between them or not.
  const before = "prompt" in request ? ids.filter((id) => !tokenizer.isHidden(id)) : [];
  const tools = toolsOf(request).length > 0 ? (model.tools ?? undefined) : undefined;
  const answers = readers.map((_, index) => {
    return new Answer(index, tokenizer, { stop: options.stop, before, tools, newCallId });
  });
  const timing = new Timing();
  let completionTokens = 0;
  let cachedPromptTokens = 0;
  try {
    for await (const { index, event } of merged(readers)) {
      timing.see(event);
      if (event.type === "start") {
        if (index === 0) cachedPromptTokens = event.cachedTokens;
        continue;
      }
      if (event.type === "token") completionTokens++;
      const { delta, finish } = pieceOf(answers[index]!, event);
      if (delta) yield delta;
      if (finish && event.type === "token") {
        timing.add(readers[index]!.work); // the engine has no end to tell of
        await readers[index]!.return();
      }
      if (finish) yield finish;
    }
    const usage = { promptTokens: ids.length, completionTokens, cachedPromptTokens };
    const { reproducible } = info;
    yield { type: "done", usage, timings: timing.timings(completionTokens), seed, options, reproducible };
  } finally {
    for (const reader of readers) await reader.return();
  }
}

function newCallId(): string {
  return `call_${randomBytes(12).toString("hex")}`;
}

function pieceOf(answer: Answer, event: TokenEvent & { type: "token" | "finish" }): AnswerPiece {
  return event.type === "token" ? answer.token(event) : answer.end(event);
}

/** Who asks, and how urgent it is, on the clock of this thread. */
function standing(request: GenerateRequest): Omit<GenerateInput, "ids" | "options"> {
  const { caller, cacheScope = "", priority, arrivedAtMs, deadlineAtMs } = request;
  return {
    cacheScope,
    ...(caller !== undefined && { caller }),
    ...(priority !== undefined && { priority }),
    ...(arrivedAtMs !== undefined && { askedAtMs: arrivedAtMs - performance.timeOrigin }),
    ...(deadlineAtMs !== undefined && { deadlineMs: deadlineAtMs - performance.timeOrigin }),
  };
}

/** @throws InferenceError CONTEXT_OVERFLOW for a prompt so long that it need not be encoded; as `idsOf` */
function promptIds(model: LoadedModel, request: GenerateRequest): number[] {
  const { contextLength } = model.info;
  try {
    const source = "prompt" in request ? { text: request.prompt } : { messages: request.messages };
    const ids = idsOf(model, source, contextLength, toolsOf(request));
    if (ids.length === 0) throw invalidOptions([{ field: "prompt", description: "must have at least one token." }]);
    return ids;
  } catch (error) {
    if (!(error instanceof TextTooLongError)) throw error;
    const message = `The prompt has more tokens than the context of the model, which is ${contextLength}. ${error.message}`;
    throw new InferenceError("CONTEXT_OVERFLOW", message, { metadata: { context_length: `${contextLength}` } });
  }
}

type Reader = ReturnType<Engine["generate"]>;

/** All or none: a queue that takes only some of the answers takes none. */
function startAnswers(
  engine: Engine,
  input: GenerateInput,
  format: Format | undefined,
  count: number,
  signal: AbortSignal,
): Reader[] {
  const readers: Reader[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const options = { ...input.options, seed: answerSeed(input.options.seed, index) };
      const constraint = format && { constraint: format.start() };
      readers.push(engine.generate({ ...input, ...constraint, options }, signal));
    }
    return readers;
  } catch (error) {
    for (const reader of readers) void reader.return();
    throw error;
  }
}

/** The events of several answers as they come; each is asked for its next one only when the last has been taken. */
async function* merged(
  readers: readonly Reader[],
): AsyncGenerator<{ index: number; event: TokenEvent }, void, undefined> {
  const ask = async (index: number) => ({ index, result: await readers[index]!.next() });
  const asked = new Map(readers.map((_, index) => [index, ask(index)]));
  while (asked.size > 0) {
    const { index, result } = await Promise.race(asked.values());
    asked.delete(index);
    if (result.done) continue;
    yield { index, event: result.value };
    asked.set(index, ask(index));
  }
}
