// Numbers and foreign text in a form for people to read. It must never write anything itself.
import type { ChatResult } from "@modelwire/client";

/** "6.9 MiB". */
export function size(bytes: number | bigint): string {
  let value = Number(bytes);
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (value < 1024) return `${unit === "bytes" ? value : value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} TiB`;
}

/** "85 ms" or "2.31 s". */
export function duration(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

/** "1 file", "6 files". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Usage and timing of an answer, in one line. */
export function statsLine({
  usage,
  timings,
  seed,
  finishReason,
}: Pick<ChatResult, "usage" | "timings" | "seed" | "finishReason">): string {
  const guessed = timings.acceptedTokens > 0 ? ` (${timings.acceptedTokens} guessed ahead)` : "";
  const cached = usage.cachedPromptTokens > 0 ? ` (${usage.cachedPromptTokens} cached)` : "";
  return [
    `${count(usage.promptTokens, "prompt token")}${cached}`,
    `${count(usage.completionTokens, "completion token")}${guessed}`,
    `first token after ${duration(timings.timeToFirstTokenMs)}`,
    `${timings.tokensPerSecond.toFixed(1)} tokens/s`,
    `seed ${seed}`,
    ...(finishReason === "length" ? ["cut off at the token limit"] : []),
  ].join(", ");
}

/** Text from elsewhere without the control characters that could steer a terminal. Line breaks and tabs stay. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

/** Columns side by side, the first row being the heads. */
export function table(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => printable(cell).replace(/[\n\t]/g, " ")));
  const widths = (clean[0] ?? []).map((_, i) => Math.max(...clean.map((row) => row[i]?.length ?? 0)));
  return clean
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
