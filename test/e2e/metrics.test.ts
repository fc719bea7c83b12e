// What Prometheus is told, of a real service after calls that are known.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MODEL, type Service, startService } from "./service.ts";

const DOCUMENT = fileURLToPath(new URL("../../docs/metrics.md", import.meta.url));

let service: Service;
beforeAll(async () => {
  service = await startService(["--metrics-port", "0"]);
  await service.client.models.log(MODEL, { name: "tiny-phi3" });
});
afterAll(() => service.close());

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

interface Scrape {
  /** Family → type. */
  types: Map<string, string>;
  samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

/** Reads the text format, and throws where a line is not of it or does not belong to the family above it. */
function parse(text: string): Scrape {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  let family = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name = "", rest = ""] = comment;
      family = name;
      if (kind === "TYPE") {
        if (types.has(name)) throw new Error(`${name} comes twice`);
        if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(line);
        types.set(name, rest);
      }
      continue;
    }
    const found = /^(\S+?)(?:\{(.*)\})? (\S+)$/.exec(line);
    const [, name = "", labelText = "", value = ""] = found ?? [];
    const suffixes = types.get(family) === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    if (!found || NAME.exec(name)?.[0] !== name) throw new Error(`no sample: ${line}`);
    if (!suffixes.some((suffix) => name === family + suffix)) throw new Error(`${name} is not of ${family}`);
    const labels = Object.fromEntries(
      [...labelText.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/g)].map(([, key, text]) => [key, text]),
    ) as Record<string, string>;
    const written = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    if (written.join(",") !== labelText) throw new Error(`labels: ${line}`);
    if (!/^([+-]?Inf|Nan|-?\d+(\.\d+)?(e[+-]?\d+)?)$/.test(value)) throw new Error(`value: ${line}`);
    if (seen.has(name + labelText)) throw new Error(`twice: ${line}`);
    seen.add(name + labelText);
    samples.push({ name, labels, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return { types, samples };
}

async function scrape(from: Service = service): Promise<Scrape> {
  const response = await fetch(`http://${from.metricsAddress}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return parse(await response.text());
}

/** The sum of a series' values whose labels are as asked. */
function value({ samples }: Scrape, name: string, labels: Record<string, string> = {}): number {
  const is = (sample: Sample) =>
    sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels[key] === text);
  return samples.filter(is).reduce((sum, sample) => sum + sample.value, 0);
}

/** One known answer; no token is guessed by anybody but the model. */
async function ask(maxTokens: number) {
  const messages = [{ role: "user", content: "What is the capital of Spain?" }];
  return await service.client.chat.complete({ model: "tiny-phi3", messages, maxTokens });
}

test("counters after known requests are exactly what was done", async () => {
  const before = await scrape();
  const answers = [await ask(2), await ask(3), await ask(64)];
  const call = service.client.chat.complete({ model: "nobody", messages: [{ role: "user", content: "?" }] });
  await expect(call).rejects.toMatchObject({ reason: "MODEL_NOT_FOUND" });
  const after = await scrape();
  const grew = (name: string, labels?: Record<string, string>) =>
    value(after, name, labels) - value(before, name, labels);

  const usage = answers.map((answer) => answer.usage);
  const sum = (of: (u: (typeof usage)[number]) => number) => usage.reduce((total, u) => total + of(u), 0);
  expect(grew("vllm:prompt_tokens_total")).toBe(sum((u) => u.promptTokens));
  expect(grew("vllm:prefix_cache_queries_total")).toBe(sum((u) => u.promptTokens));
  expect(grew("vllm:prefix_cache_hits_total")).toBe(sum((u) => u.cachedPromptTokens));
  expect(grew("modelwire_prompt_tokens_computed_total")).toBe(sum((u) => u.promptTokens - u.cachedPromptTokens));
  expect(grew("vllm:generation_tokens_total")).toBe(sum((u) => u.completionTokens));
  expect(grew("vllm:request_success_total", { finished_reason: "length" })).toBe(2);
  expect(grew("vllm:request_success_total", { finished_reason: "stop" })).toBe(1);
  expect(grew("modelwire_requests_total")).toBe(3);
  for (const histogram of [
    "time_to_first_token_seconds",
    "e2e_request_latency_seconds",
    "request_prefill_time_seconds",
  ])
    expect(grew(`vllm:${histogram}_count`)).toBe(3);
  expect(grew("vllm:request_prompt_tokens_sum")).toBe(sum((u) => u.promptTokens));
  expect(value(after, "vllm:num_requests_running") + value(after, "vllm:num_requests_waiting")).toBe(0);

  const chat = { grpc_type: "unary", grpc_service: "modelwire.inference.v1.ChatService", grpc_method: "Chat" };
  expect(grew("grpc_server_started_total", chat)).toBe(4);
  expect(grew("grpc_server_handled_total", { ...chat, grpc_code: "OK" })).toBe(3);
  expect(grew("grpc_server_handled_total", { ...chat, grpc_code: "NotFound" })).toBe(1);
  expect(grew("grpc_server_handling_seconds_count", chat)).toBe(4);
  expect(grew("grpc_server_msg_sent_total", chat)).toBe(3);
  expect(grew("modelwire_model_loads_total")).toBe(1);
  expect(value(after, "modelwire_model_reproducible", { model_name: "tiny-phi3" })).toBe(1);
  expect(value(after, "modelwire_models", { state: "ready" })).toBe(1);
});

test("every file of a model that came is counted to the byte", async () => {
  const { model } = await service.client.models.getModel({ model: "tiny-phi3" });
  const { files } = await service.client.models.listArtifacts({ model: "tiny-phi3" });
  const onnx = files.filter(({ path }) => path.includes("model.onnx")).reduce((sum, f) => sum + Number(f.sizeBytes), 0);
  const uploaded = value(await scrape(), "modelwire_upload_bytes_total");
  expect(uploaded).toBeGreaterThan(onnx);
  expect(uploaded).toBeLessThanOrEqual(Number(model?.sizeBytes));
});

test("a caller that leaves is counted as one", async () => {
  const before = await scrape();
  const messages = [{ role: "user", content: "Tell me a joke about atoms." }];
  const input = { model: "tiny-phi3", messages, ignoreEos: true, maxTokens: 1500, logprobs: 20 };
  for await (const _ of service.client.chat.stream(input)) break;
  const gone = (now: Scrape) => {
    const labels = { finished_reason: "abort" };
    return value(now, "vllm:request_success_total", labels) - value(before, "vllm:request_success_total", labels);
  };
  let now: Scrape;
  do now = await scrape();
  while (gone(now) === 0);
  expect(gone(now)).toBe(1);
  expect(value(now, "vllm:num_requests_running")).toBe(0);
});

test("from scrape to scrape no counter and no bucket falls, and buckets rise with their bounds", async () => {
  await ask(4);
  const first = await scrape();
  await ask(4);
  const second = await scrape();
  const key = ({ name, labels }: Sample) => name + JSON.stringify(labels);
  const later = new Map(second.samples.map((sample) => [key(sample), sample.value]));
  const family = (name: string) => name.replace(/_(bucket|sum|count)$/, "");
  const rising = first.samples.filter(({ name }) =>
    ["counter", "histogram"].includes(first.types.get(name) ?? first.types.get(family(name)) ?? ""),
  );
  expect(rising.length).toBeGreaterThan(100);
  for (const sample of rising) expect(later.get(key(sample)), key(sample)).toBeGreaterThanOrEqual(sample.value);
  const buckets = first.samples.filter(({ name }) => name === "vllm:e2e_request_latency_seconds_bucket");
  expect(buckets.map(({ value }) => value)).toEqual(buckets.map(({ value }) => value).sort((a, b) => a - b));
  expect(buckets.at(-1)?.labels.le).toBe("+Inf");
  expect(buckets.at(-1)?.value).toBe(value(first, "vllm:e2e_request_latency_seconds_count"));
});

test("the document's table has every series that is served, with its type and labels, and no other", async () => {
  const { types, samples } = await scrape();
  const rows = [...(await readFile(DOCUMENT, "utf8")).matchAll(/^\| `(\S+)` +\| (\w+) +\| ([^|]*?) *\|/gm)];
  const documented = rows.map(([, name = "", type = "", labels = ""]) => ({ name, type, labels }));
  const served = [...types].filter(([name]) => !/^(process|nodejs)_/.test(name));
  expect(documented.map(({ name, type }) => `${name} ${type}`).sort()).toEqual(
    served.map(([name, type]) => `${name} ${type}`).sort(),
  );
  for (const { name, labels } of documented) {
    const told = [...labels.matchAll(/`(\w+)`/g)].map(([, label = ""]) => label);
    if (labels.startsWith("of a model")) told.push("model_name", "model_id");
    const sample = samples.find((s) => s.name === name || s.name === `${name}_sum`);
    // No plain graph is loaded here.
    if (name === "modelwire_graph_runs") expect(sample).toBeUndefined();
    else expect(Object.keys(sample?.labels ?? {}).sort(), name).toEqual(told.sort());
  }
});

test("names with quotes, backslashes and line ends stay within their label", async () => {
  // MLflow allows them but for quotes.
  await service.client.models.log(MODEL, { name: "a\\b\nc" });
  await service.client.serving.loadModel({ model: "a\\b\nc" });
  const { samples } = await scrape();
  expect(samples.some(({ labels }) => labels.model_name === "a\\\\b\\nc")).toBe(true);
});

test("/healthz answers while calls are taken; other paths and methods are refused", async () => {
  const at = (path: string, method = "GET") => fetch(`http://${service.metricsAddress}${path}`, { method });
  expect((await at("/healthz")).status).toBe(200);
  expect((await at("/metrics?x=1", "HEAD")).status).toBe(200);
  expect((await at("/")).status).toBe(404);
  expect((await at("/metrics", "POST")).status).toBe(405);
});
