// What a load that was played to a side says of it: pure functions. `times` has for each request when each of its new
// tokens was there, in ms from the beginning of the load.

/** @throws Error when a side gave another number of tokens than it was asked for: it did more or less work than others */
export function checkPlayed(load, times) {
  const wrong = load.flatMap(({ n }, i) =>
    times[i]?.length === n ? [] : [`request ${i}: ${times[i]?.length} of ${n}`],
  );
  if (wrong.length > 0) throw new Error(`other numbers of tokens than asked for: ${wrong.join(", ")}`);
}

/** New tokens per second over the whole time, from the beginning to the last token. */
export function rate(times) {
  return (times.flat().length * 1000) / Math.max(...times.flat());
}

/** Milliseconds from the arrival of each request to its first token. */
export function firstTokens(load, times) {
  return times.map((of, i) => of[0] - load[i].at * 1000);
}

/** Milliseconds from each token to the next of the same request. */
export function gaps(times) {
  return times.flatMap((of) => of.slice(1).map((time, i) => time - of[i]));
}

/** Those of the time in which every request decodes: after all have begun, and before the first ends. */
export function steadyGaps(times) {
  const begun = Math.max(...times.map((of) => of[0]));
  const ended = Math.min(...times.map((of) => of.at(-1)));
  return times.flatMap((of) =>
    of.slice(1).flatMap((time, i) => (of[i] >= begun && time <= ended ? [time - of[i]] : [])),
  );
}

export function mean(numbers) {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}

/** The least number that so great a part of all does not exceed: 0.99 of few numbers is the greatest. */
export function percentile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}
