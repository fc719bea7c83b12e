// Figures, bars and the table they make: pure functions, of JSON, Markdown and no measuring.
//
// A figure is {id, title, unit, more?, sides: {[side]: {median, low, high, note?} | {absent}}}: what each side took, in
// ms, bytes, % or ×, so that less is better, or reached, where `more` is: tokens per second. `absent` says why there is
// none. A bar is {figure, ours, against?, atLeast?, atMost?}: the side that is ours and either those of a peer, whose best
// counts, with the least ratio, theirs / ours or, of `more`, ours / theirs; or the most that ours itself may be.

/** One row for each bar. A figure that is missing, on either side, does not hold. */
export function judge(bars, figures) {
  return bars.map(({ figure: id, ours: name, against, atLeast, atMost }) => {
    const figure = figures.find((one) => one.id === id);
    const row = { figure: figure?.title ?? id, unit: figure?.unit ?? "", ours: null, peer: null, ratio: null };
    row.bar = against ? { atLeast } : { atMost };
    const ours = figure?.sides[name];
    const missing = (side) => ({ ...row, holds: false, note: figure?.sides[side]?.absent ?? "not measured" });
    if (!measured(ours)) return missing(name);
    row.ours = { side: name, ...ours };
    if (!against) return { ...row, holds: ours.median <= atMost };
    const peer = best(figure, against);
    if (!peer) return missing(against[0]);
    row.peer = peer;
    row.ratio = figure.more ? ours.median / peer.median : peer.median / ours.median;
    return { ...row, holds: row.ratio >= atLeast };
  });
}

/** 0 when every bar holds, and there is one. */
export function exitCode(rows) {
  return rows.length > 0 && rows.every(({ holds }) => holds) ? 0 : 1;
}

/** The table of bars as Markdown. Where several sides are ours, each says which it is. */
export function barsTable(rows) {
  const several = new Set(rows.flatMap(({ ours }) => (ours ? [ours.side] : []))).size > 1;
  const cells = rows.map(({ figure, unit, ours, peer, ratio, bar, holds, note }) => [
    figure,
    ours ? `${spread(ours, unit)}${several ? ` (${ours.side})` : ""}` : "none",
    peer ? `${spread(peer, unit)} (${peer.side})` : "",
    ratio === null ? "" : `${ratio.toFixed(2)} ×`,
    bar.atLeast === undefined ? `at most ${quantity(bar.atMost, unit)}` : `${bar.atLeast} ×`,
    holds ? "holds" : `**does not hold**${note ? `: ${note}` : ""}`,
  ]);
  return markdown(["figure", "ours", "peer", "ratio", "bar", ""], cells);
}

/** Figures side by side as Markdown. */
export function figuresTable(figures, sides) {
  const cells = figures.map(({ title, unit, sides: found }) => [
    title,
    ...sides.map((side) => {
      const one = found[side];
      return measured(one) ? spread(one, unit) : (one?.absent ?? "");
    }),
  ]);
  return markdown(["figure", ...sides], cells);
}

/** Median, and where half of the samples lie. */
export function summary(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part) => {
    const index = part * (sorted.length - 1);
    const below = sorted[Math.floor(index)];
    return below + (sorted[Math.ceil(index)] - below) * (index % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75), samples: sorted.length };
}

/** "74.1 ms", "0.31 GB", "48.1 tok/s", "1.35 %", "2.10 ×". */
export function quantity(value, unit) {
  if (unit === "ms") return `${Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3)} ms`;
  if (unit !== "bytes") return `${Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`;
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} GB`;
  return value >= 1e6 ? `${(value / 1e6).toFixed(0)} MB` : `${(value / 1e3).toFixed(1)} kB`;
}

function measured(side) {
  return side !== undefined && Number.isFinite(side.median);
}

/** The best of some sides, with its name. */
function best(figure, names) {
  const found = names.filter((name) => measured(figure.sides[name]));
  if (found.length === 0) return undefined;
  const better = (a, b) => (figure.more ? a.median > b.median : a.median < b.median);
  const side = found.reduce((a, b) => (better(figure.sides[b], figure.sides[a]) ? b : a));
  return { side, ...figure.sides[side] };
}

function spread({ median, low, high, note }, unit) {
  const range = low < high ? ` [${quantity(low, unit)} – ${quantity(high, unit)}]` : "";
  return `${quantity(median, unit)}${range}${note ? ` ${note}` : ""}`;
}

function markdown(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
