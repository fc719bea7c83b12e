// Sends spans to a collector in batches, by OTLP over HTTP. A collector that is slow or away costs spans, never a call: what does
// not fit the queue is dropped and counted. It must never know what a span is about.
import { traceRequest } from "./otlp.ts";
import type { Attributes, Span } from "./span.ts";

export interface ExporterOptions {
  /** Base URL of the collector; spans go to its `v1/traces`. */
  readonly endpoint: string;
  /** Sent along, such as a key. None. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly resource: Attributes;
  /** Of the service. */
  readonly version: string;
  /** Told why spans were lost, at most once per batch. */
  readonly onLoss: (spans: number, why: string) => void;
  /** How long a span waits for others, in milliseconds. 2,000. */
  readonly delayMs?: number;
}

/** As the OpenTelemetry specification has them for a batch processor. */
const MOST_WAITING = 2048;
const BATCH = 512;
const TIMEOUT_MS = 10_000;

export class SpanExporter {
  readonly #options: ExporterOptions;
  readonly #url: URL;
  readonly #waiting: Span[] = [];
  readonly #end = new AbortController();
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#url = new URL(`${options.endpoint.replace(/\/$/, "")}/v1/traces`);
  }

  add(span: Span): void {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= BATCH) void this.#send();
    else this.#timer ??= setTimeout(() => void this.#send(), this.#options.delayMs ?? 2000).unref();
  }

  /** Sends what there is, and gives up after `ms`; nothing is sent after that. */
  async close(ms: number): Promise<void> {
    const timer = setTimeout(() => this.#end.abort(new Error("the service stopped")), ms);
    try {
      while (this.#waiting.length > 0 || this.#sending) await this.#send();
    } finally {
      clearTimeout(timer);
      this.#end.abort();
    }
  }

  /** One batch after another, in order. */
  #send(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= (async () => {
      while (this.#waiting.length > 0) await this.#post(this.#waiting.splice(0, BATCH));
    })().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #post(spans: readonly Span[]): Promise<void> {
    const { headers, resource, version, onLoss } = this.#options;
    const lost = this.#dropped;
    this.#dropped = 0;
    if (lost > 0) onLoss(lost, "the collector takes them too slowly");
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify(traceRequest(resource, version, spans)),
        signal: AbortSignal.any([this.#end.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      const text = await response.text();
      if (!response.ok) onLoss(spans.length, `${this.#url} answers ${response.status}: ${text.slice(0, 200)}`);
    } catch (error) {
      onLoss(spans.length, `${this.#url}: ${error instanceof Error ? causeOf(error) : error}`);
    }
  }
}

/** fetch says why only in its error's cause. */
function causeOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}, ${error.cause.message}` : error.message;
}
