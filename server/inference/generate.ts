// One request for text in the worker: messages or a prompt → prompt ids → the engine's tokens → text. It knows nothing of threads and
// messages between them; who iterates it sets the pace.

import { setMaxListeners } from "node:events";
import type { Engine } from "../decoder/engine.ts";
import { answerSeed } from "../decoder/random.ts";
import type { GenerateInput } from "../decoder/request.ts";
import type { SequenceWork, TokenEvent } from "../decoder/sequence.ts";
import { TextTooLongError } from "../tokenizer/errors.ts";
import { TextStream } from "../tokenizer/text-stream.ts";
import { InferenceError, type Violation } from "./errors.ts";
import type { LoadedModel } from "./model.ts";
import { idsOf } from "./tokens.ts";
import type {
  GenerateEvent,
  GenerateRequest,
  GenerationDefaults,
  ModelInfo,
  ResolvedOptions,
  Timings,
} from "./types.ts";

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
  const wanted = resolveOptions(request, info.defaults);
  const ids = promptIds(model, request);
  const seed = request.options.seed ?? randomSeed();
  const maxTokens = request.options.maxTokens ?? answerRoom(info, ids.length);
  const options: ResolvedOptions = { ...wanted, maxTokens: maxTokens ?? 0 };

  setMaxListeners(0, signal); // every answer listens to it
  const answers = startAnswers(engine, { ids, options: { ...options, maxTokens, seed } }, options.n, signal);
  // What goes on with a text keeps the space between the two, as in onnxruntime-genai, control tokens between them or not.
  const before = "prompt" in request ? ids.filter((id) => !tokenizer.isHidden(id)) : [];
  const newText = () => new TextStream(tokenizer, options.stop, before);
  const streams = answers.map(() => ({ text: newText(), tokenIds: [] as number[] }));
  const clock = new Clock();
  let completionTokens = 0;
  let cachedPromptTokens = 0;
  try {
    for await (const { index, event } of merged(answers)) {
      clock.see(event);
      const stream = streams[index]!;
      if (event.type === "start") {
        if (index === 0) cachedPromptTokens = event.cachedTokens;
      } else if (event.type === "token") {
        completionTokens++;
        stream.tokenIds.push(event.id);
        const { text, stop } = stream.text.push(event.id);
        if (text !== "" || stop !== undefined)
          yield { type: "delta", index, text, tokenIds: stream.tokenIds.splice(0) };
        if (stop !== undefined) {
          await answers[index]!.return();
          yield { type: "finish", index, reason: "stop", stopString: stop };
        }
      } else {
        const { text, stop } = stream.text.flush();
        if (text !== "" || stream.tokenIds.length > 0)
          yield { type: "delta", index, text, tokenIds: stream.tokenIds.splice(0) };
        if (stop !== undefined) yield { type: "finish", index, reason: "stop", stopString: stop };
        else yield { type: "finish", index, reason: event.reason === "eos" ? "stop" : "length" };
      }
    }
    const usage = { promptTokens: ids.length, completionTokens, cachedPromptTokens };
    yield {
      type: "done",
      usage,
      timings: clock.timings(completionTokens),
      seed,
      options,
      reproducible: info.reproducible,
    };
  } finally {
    for (const answer of answers) await answer.return();
  }
}

/** @throws InferenceError CONTEXT_OVERFLOW for a prompt so long that it need not be encoded; as `idsOf` */
function promptIds(model: LoadedModel, request: GenerateRequest): number[] {
  const { contextLength } = model.info;
  try {
    const source = "prompt" in request ? { text: request.prompt } : { messages: request.messages };
    const ids = idsOf(model, source, contextLength);
    if (ids.length === 0) throw invalid([{ field: "prompt", description: "must have at least one token." }]);
    return ids;
  } catch (error) {
    if (!(error instanceof TextTooLongError)) throw error;
    const message = `The prompt has more tokens than the context of the model, which is ${contextLength}. ${error.message}`;
    throw new InferenceError("CONTEXT_OVERFLOW", message, { metadata: { context_length: `${contextLength}` } });
  }
}

/** Tokens that an answer may have where the request is silent; undefined when the prompt leaves none, which the engine refuses. */
function answerRoom({ contextLength, defaults }: ModelInfo, promptTokens: number): number | undefined {
  const total = Math.min(contextLength, defaults.maxLength ?? contextLength);
  if (total > promptTokens) return total - promptTokens;
  return contextLength > promptTokens ? contextLength - promptTokens : undefined;
}

type Answer = ReturnType<Engine["generate"]>;

/** All or none: a queue that takes only some of the answers takes none. */
function startAnswers(engine: Engine, { ids, options }: GenerateInput, count: number, signal: AbortSignal): Answer[] {
  const answers: Answer[] = [];
  const sharing = {};
  try {
    for (let index = 0; index < count; index++) {
      const input = { ids, options: { ...options, seed: answerSeed(options.seed, index) }, sharing };
      answers.push(engine.generate(input, signal));
    }
    return answers;
  } catch (error) {
    for (const answer of answers) void answer.return();
    throw error;
  }
}

/** The events of several answers as they come; each is asked for its next one only when the last has been taken. */
async function* merged(
  answers: readonly Answer[],
): AsyncGenerator<{ index: number; event: TokenEvent }, void, undefined> {
  const ask = async (index: number) => ({ index, result: await answers[index]!.next() });
  const asked = new Map(answers.map((_, index) => [index, ask(index)]));
  while (asked.size > 0) {
    const { index, result } = await Promise.race(asked.values());
    asked.delete(index);
    if (result.done) continue;
    yield { index, event: result.value };
    asked.set(index, ask(index));
  }
}

/** Every violation of a request, not the first. @throws InferenceError INVALID_OPTION */
function resolveOptions(request: GenerateRequest, defaults: GenerationDefaults): Omit<ResolvedOptions, "maxTokens"> {
  const { options } = request;
  const found: Violation[] = [];
  const must = (holds: boolean, field: string, description: string) => {
    if (!holds) found.push({ field, description });
  };
  const {
    temperature = defaults.temperature,
    topK = defaults.topK,
    topP = defaults.topP,
    stop = [],
    n = 1,
    seed,
    maxTokens,
  } = options;
  must(!("messages" in request) || request.messages.length > 0, "messages", "must not be empty.");
  must(temperature >= 0 && temperature <= 100, "temperature", `must be from 0 to 100; found ${temperature}.`);
  must(Number.isInteger(topK) && topK >= 0, "top_k", `must be an integer of 0 or more; found ${topK}.`);
  must(topP >= 0 && topP <= 1, "top_p", `must be from 0 to 1; found ${topP}.`);
  must(Number.isInteger(n) && n >= 1 && n <= 16, "n", `must be an integer from 1 to 16; found ${n}.`);
  must(
    maxTokens === undefined || (Number.isInteger(maxTokens) && maxTokens >= 1),
    "max_tokens",
    `must be an integer of 1 or more; found ${maxTokens}.`,
  );
  must(seed === undefined || (seed >= 0n && seed < 2n ** 64n), "seed", `must be from 0 to 2^64 - 1; found ${seed}.`);
  must(stop.length <= 16, "stop", `may hold 16 strings; found ${stop.length}.`);
  stop.forEach((text, i) => {
    must(text.length >= 1 && text.length <= 256, `stop[${i}]`, `must have 1 to 256 characters; found ${text.length}.`);
  });
  if (found.length > 0) throw invalid(found);
  const {
    minP = 0,
    repetitionPenalty = defaults.repetitionPenalty,
    presencePenalty = 0,
    frequencyPenalty = 0,
    logitBias = new Map<number, number>(),
    stopTokenIds = [],
    minTokens = 0,
    ignoreEos = false,
    logprobs,
  } = options;
  return {
    ...{ temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias },
    ...{ stop: [...stop], stopTokenIds: [...stopTokenIds], n, minTokens, ignoreEos },
    ...(logprobs !== undefined && { logprobs }),
  };
}

function invalid(violations: readonly Violation[]): InferenceError {
  const list = violations.map(({ field, description }) => `${field} ${description}`).join(" ");
  return new InferenceError("INVALID_OPTION", `The request cannot be answered: ${list}`, { violations });
}

/** Adds up timings from the events of all answers. */
class Clock {
  #started: number | undefined;
  #first: number | undefined;
  #last = 0;
  #answers = 0;
  #work: SequenceWork = { steps: 0, drafted: 0, accepted: 0 };

  see(event: TokenEvent): void {
    if (event.type === "start") {
      this.#answers++;
      this.#started ??= event.timeMs;
    } else {
      this.#first ??= event.timeMs;
      this.#last = Math.max(this.#last, event.timeMs);
      if (event.type === "finish" && event.work) {
        const { steps, drafted, accepted } = this.#work;
        const { work } = event;
        this.#work = { steps: steps + work.steps, drafted: drafted + work.drafted, accepted: accepted + work.accepted };
      }
    }
  }

  timings(tokens: number): Timings {
    const queueMs = this.#started ?? 0;
    const timeToFirstTokenMs = this.#first ?? queueMs;
    const generationMs = Math.max(0, this.#last - timeToFirstTokenMs);
    const later = tokens - this.#answers;
    const tokensPerSecond = generationMs > 0 && later > 0 ? (later * 1000) / generationMs : 0;
    const { steps, drafted: draftedTokens, accepted: acceptedTokens } = this.#work;
    const work = { steps, draftedTokens, acceptedTokens };
    return {
      queueMs,
      promptMs: timeToFirstTokenMs - queueMs,
      timeToFirstTokenMs,
      generationMs,
      tokensPerSecond,
      ...work,
    };
  }
}
