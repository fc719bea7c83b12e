// What decoders tell, under the names of vLLM's series where the meaning is the same, and under our own where theirs would
// lie: docs/metrics.md says which and why. It must never count anything itself.
import type { EngineMetrics, HostStats, ModelStats } from "../inference/types.ts";
import type { Point, Series, Spread } from "./series.ts";

export interface EngineSnapshot {
  readonly host: HostStats;
  /** A model's name by its id. */
  readonly names: ReadonlyMap<string, string>;
}

type Kind = Series<EngineSnapshot>["type"];

/** A series with one value for each decoder. */
function each(name: string, type: Kind, help: string, read: (metrics: EngineMetrics) => number | Spread) {
  return labelled(name, type, help, (metrics) => [{ labels: {}, value: read(metrics) }]);
}

function labelled(
  name: string,
  type: Kind,
  help: string,
  read: (metrics: EngineMetrics, model: ModelStats) => readonly Point[],
): Series<EngineSnapshot> {
  return {
    ...{ name, type, help },
    read: ({ host, names }) =>
      host.models.flatMap((model) => {
        if (!model.metrics) return [];
        const own = { model_name: names.get(model.key) ?? "", model_id: model.key };
        return read(model.metrics, model).map(({ labels, value }) => ({ labels: { ...own, ...labels }, value }));
      }),
  };
}

const outcome = (finished_reason: string, value: number): Point => ({ labels: { finished_reason }, value });

/** vLLM's own, of the same meaning. */
const vllm: readonly Series<EngineSnapshot>[] = [
  each("vllm:num_requests_running", "gauge", "Answers in the making.", (m) => m.running),
  each("vllm:num_requests_waiting", "gauge", "Answers that wait for a place.", (m) => m.waiting),
  each(
    "vllm:kv_cache_usage_perc",
    "gauge",
    "Part of the cache that answers in the making hold; 1 is all of it. Beginnings kept for others count as free.",
    (m) => (m.cacheTokens === 0 ? 0 : (m.cacheTokensUsed - m.cacheTokensIdle) / m.cacheTokens),
  ),
  each(
    "vllm:prefix_cache_queries_total",
    "counter",
    "Prompt tokens that were looked up in the cache.",
    (m) => m.prefixQueriedTokens,
  ),
  each(
    "vllm:prefix_cache_hits_total",
    "counter",
    "Prompt tokens that were found in the cache.",
    (m) => m.prefixFoundTokens,
  ),
  each(
    "vllm:prompt_tokens_total",
    "counter",
    "Prompt tokens of answers that got their first token, those found in the cache included.",
    (m) => m.answeredPromptTokens,
  ),
  each("vllm:generation_tokens_total", "counter", "Tokens of answers.", (m) => m.generatedTokens),
  labelled(
    "vllm:request_success_total",
    "counter",
    "Answers that ended by themselves, or whose caller left.",
    ({ outcomes }) => [
      outcome("stop", outcomes.stop),
      outcome("length", outcomes.length),
      outcome("abort", outcomes.cancelled),
    ],
  ),
  each(
    "vllm:num_preemptions_total",
    "counter",
    "Answers that gave up their place for another one, to be computed again.",
    (m) => m.preemptions,
  ),
  each(
    "vllm:spec_decode_num_draft_tokens_total",
    "counter",
    "Tokens guessed ahead, of answers that have ended.",
    (m) => m.draftedTokens,
  ),
  each(
    "vllm:spec_decode_num_accepted_tokens_total",
    "counter",
    "Tokens guessed ahead that were right, of answers that have ended.",
    (m) => m.acceptedTokens,
  ),
  each(
    "vllm:time_to_first_token_seconds",
    "histogram",
    "From a request's arrival to its first token.",
    (m) => m.timeToFirstTokenSeconds,
  ),
  each(
    "vllm:inter_token_latency_seconds",
    "histogram",
    "Between two steps that gave an answer tokens.",
    (m) => m.interTokenSeconds,
  ),
  each(
    "vllm:e2e_request_latency_seconds",
    "histogram",
    "From a request's arrival to the end of its answer.",
    (m) => m.requestSeconds,
  ),
  each(
    "vllm:request_prefill_time_seconds",
    "histogram",
    "From an answer's first step to its first token.",
    (m) => m.prefillSeconds,
  ),
  each(
    "vllm:request_decode_time_seconds",
    "histogram",
    "From an answer's first token to its last.",
    (m) => m.decodeSeconds,
  ),
  each(
    "vllm:request_prompt_tokens",
    "histogram",
    "Prompt tokens of an answer that ended.",
    (m) => m.requestPromptTokens,
  ),
  each(
    "vllm:request_generation_tokens",
    "histogram",
    "Tokens of an answer that ended.",
    (m) => m.requestGeneratedTokens,
  ),
];

const own: readonly Series<EngineSnapshot>[] = [
  labelled("modelwire_requests_total", "counter", "Answers by how they came to their end.", ({ outcomes }) =>
    Object.entries(outcomes).map(([outcome, value]) => ({ labels: { outcome }, value })),
  ),
  each(
    "modelwire_request_wait_seconds",
    "histogram",
    "From a request's arrival to its first step: loading and tokenizing included.",
    (m) => m.queueSeconds,
  ),
  each("modelwire_steps_total", "counter", "Steps of the decoder.", (m) => m.steps),
  each("modelwire_step_tokens", "histogram", "Tokens of a step, prompt and guesses included.", (m) => m.stepTokens),
  each(
    "modelwire_prompt_tokens_computed_total",
    "counter",
    "Prompt tokens that were computed, those of answers that gave up their place again.",
    (m) => m.promptTokens,
  ),
  each(
    "modelwire_wasted_tokens_total",
    "counter",
    "Tokens computed for callers who had left by then.",
    (m) => m.wastedTokens,
  ),
  each("modelwire_cache_tokens", "gauge", "Tokens that the cache has room for.", (m) => m.cacheTokens),
  each(
    "modelwire_cache_tokens_used",
    "gauge",
    "Tokens in the cache, beginnings kept for others included.",
    (m) => m.cacheTokensUsed,
  ),
  each(
    "modelwire_cache_tokens_idle",
    "gauge",
    "Tokens in the cache that only answers which ended have left there.",
    (m) => m.cacheTokensIdle,
  ),
  labelled("modelwire_max_sequences", "gauge", "Answers that a step can hold.", (_, { maxSequences }) => [
    { labels: {}, value: maxSequences },
  ]),
];

export const engineSeries: readonly Series<EngineSnapshot>[] = [...vllm, ...own];
