// PredictionService: any served model, asked by its signature. The unary call is the streaming one without its pieces.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type PredictionService,
  type PredictRequest,
  type PredictResponseSchema,
  type ServiceHandlers,
  type StreamPredictRequest,
  type StreamPredictResponse,
  StreamPredictResponseSchema,
} from "@modelwire/proto";
import type { GenerateRequest, InferenceHost, Usage } from "../inference/host.ts";
import type { Data } from "../mlmodel/data/data.ts";
import { onnxFeeds, onnxPrediction } from "../mlmodel/onnx-flavor.ts";
import { taskOfSignature } from "../mlmodel/signature/task-of-signature.ts";
import type { CallContext } from "../rpc/context.ts";
import { dataMap, dataOutput, scoringForm } from "./data-messages.ts";
import { type EnforcedInput, enforcedInput } from "./enforced-input.ts";
import { fromInference } from "./inference-errors.ts";
import { durationOf } from "./inference-messages.ts";
import { type Answer, type AnswerShape, answerData } from "./llm-answers.ts";
import { type LlmRequest, llmRequests } from "./llm-requests.ts";
import type { LoadedGraph, LoadedLlm, ModelLoader } from "./model-loader.ts";
import { type PrefixScope, type Standing, standingOf } from "./standing.ts";

type PredictInit = MessageInitShape<typeof PredictResponseSchema>;
type Piece = { readonly index: number; readonly text: string };

/** @param prefixScope among whom computed beginnings of prompts are shared; default "shared" */
export function predictionService(
  loader: ModelLoader,
  host: InferenceHost,
  { prefixScope = "shared" }: { prefixScope?: PrefixScope } = {},
): ServiceHandlers<typeof PredictionService, CallContext> {
  /** Text pieces, then what the response says. */
  async function* predict(
    request: PredictRequest | StreamPredictRequest,
    context: CallContext,
  ): AsyncGenerator<Piece, PredictInit> {
    const { signal } = context;
    const standing = standingOf(context, prefixScope);
    const form = scoringForm(request.input);
    const params = dataMap(request.params, "params");
    const loaded = await loader.loadAny(request.model, signal);
    const started = performance.now();
    const input = enforcedInput(loaded.signature, form, params, request.strict);
    const enforced = performance.now();
    const { prediction, usage, unused } =
      loaded.kind === "onnx"
        ? await runGraph(host, loaded, input.data, signal)
        : yield* generateRows(host, loaded, input, standing, signal);
    return {
      modelId: loaded.modelId,
      output: dataOutput(prediction, form.form, input.bare),
      ignored: { columns: [...input.ignored.columns, ...unused], params: input.ignored.params },
      ...(usage && { usage: { ...usage, totalTokens: usage.promptTokens + usage.completionTokens } }),
      timings: { enforcement: durationOf(enforced - started), model: durationOf(performance.now() - enforced) },
    };
  }

  return {
    async predict(request, context) {
      const pieces = predict(request, context);
      for (;;) {
        const next = await pieces.next();
        if (next.done) return next.value;
      }
    },
    async *streamPredict(request, context): AsyncGenerator<StreamPredictResponse> {
      const pieces = predict(request, context);
      try {
        for (;;) {
          const { done, value } = await pieces.next();
          yield create(StreamPredictResponseSchema, {
            event: done ? { case: "done", value } : { case: "delta", value },
          });
          if (done) return;
        }
      } finally {
        // A reader that leaves ends the generation.
        await pieces.return({});
      }
    },
  };
}

interface Predicted {
  readonly prediction: Data;
  readonly usage?: Usage;
  /** What the signature knows and the model has no use for. */
  readonly unused: readonly string[];
}

async function runGraph(
  host: InferenceHost,
  { modelId, info }: LoadedGraph,
  data: Data,
  signal: AbortSignal,
): Promise<Predicted> {
  // The request is not looked at again: its buffer may go to the other thread as it is.
  const feeds = onnxFeeds(data, info.inputs).map((feed) => ({ ...feed, mayTake: true }));
  const outputs = await host.run(modelId, feeds, signal).catch((error) => Promise.reject(fromInference(error)));
  return { prediction: onnxPrediction(outputs, data), unused: [] };
}

/** One answer per row, all at once: the decoder takes them into its batch. */
async function* generateRows(
  host: InferenceHost,
  { modelId, model, signature }: LoadedLlm,
  { data, params, rows: several }: EnforcedInput,
  standing: Standing,
  signal: AbortSignal,
): AsyncGenerator<Piece, Predicted> {
  const { requests, unused } = llmRequests(data, params);
  const task = signature && taskOfSignature(signature);
  const created = new Date();
  const answers = yield* interleaved(
    requests.map(
      (request) => (inner: AbortSignal) => generateRow(host, { model: modelId, ...request, ...standing }, inner),
    ),
    firstChoices(requests),
    signal,
  );
  const rows = answers.map((answer, i) => answerData(answer, shapeOf(task, requests[i]), model.name, created));
  return { prediction: rows.length === 1 && !several ? (rows[0] ?? null) : rows, usage: total(answers), unused };
}

function shapeOf(task: string | undefined, request: LlmRequest | undefined): AnswerShape {
  if (task === "llm/v1/completions") return "completion";
  return request && "messages" in request ? "chat" : "text";
}

/** Pieces of one row, numbered by choice, then the whole. */
async function* generateRow(
  host: InferenceHost,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Piece, Answer> {
  const texts: string[] = [];
  const reasons: ("stop" | "length")[] = [];
  let usage: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 };
  try {
    for await (const event of host.generate(request, signal)) {
      if (event.type === "delta") {
        texts[event.index] = (texts[event.index] ?? "") + event.text;
        if (event.text !== "") yield { index: event.index, text: event.text };
      } else if (event.type === "finish") reasons[event.index] = event.reason === "length" ? "length" : "stop";
      else usage = event.usage;
    }
  } catch (error) {
    throw fromInference(error, "input.");
  }
  return { choices: reasons.map((reason, i) => ({ text: texts[i] ?? "", reason })), usage };
}

/** Runs rows side by side and gives their pieces as they come, the choices numbered through all rows. The first that fails ends all. */
async function* interleaved(
  rows: readonly ((signal: AbortSignal) => AsyncGenerator<Piece, Answer>)[],
  firstChoices: readonly number[],
  outer: AbortSignal,
): AsyncGenerator<Piece, Answer[]> {
  const stop = new AbortController();
  const signal = AbortSignal.any([outer, stop.signal]);
  const running = rows.map((start) => start(signal));
  const ask = async (row: number, pieces: AsyncGenerator<Piece, Answer>) => ({
    row,
    pieces,
    result: await pieces.next(),
  });
  const asked = new Map(running.map((pieces, row) => [row, ask(row, pieces)]));
  const answers: Answer[] = [];
  try {
    while (asked.size > 0) {
      const { row, pieces, result } = await Promise.race(asked.values());
      if (result.done) {
        answers[row] = result.value;
        asked.delete(row);
      } else {
        yield { ...result.value, index: (firstChoices[row] ?? 0) + result.value.index };
        asked.set(row, ask(row, pieces));
      }
    }
    return answers;
  } finally {
    stop.abort();
    await Promise.allSettled(asked.values());
  }
}

/** The number of each row's first choice. */
function firstChoices(requests: readonly LlmRequest[]): number[] {
  let next = 0;
  return requests.map(({ options }) => {
    const first = next;
    next += options.n ?? 1;
    return first;
  });
}

function total(answers: readonly Answer[]): Usage {
  const sum = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 };
  for (const { usage } of answers) {
    sum.promptTokens += usage.promptTokens;
    sum.completionTokens += usage.completionTokens;
    sum.cachedPromptTokens += usage.cachedPromptTokens;
  }
  return sum;
}
