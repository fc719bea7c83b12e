// What is told at a scrape, as plain values: a series has a name, a kind and a meaning, and values with labels. It must never
// know where the values come from.

/** A value of a counter or gauge, or a histogram's data. */
export interface Point {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | Spread;
}

/** As the decoder's HistogramData: `counts[i]` is how many were at most `bounds[i]` and above the bound before. */
export interface Spread {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface Series<Snapshot> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Its meaning, in a sentence. */
  readonly help: string;
  read(snapshot: Snapshot): readonly Point[];
}

/** A line of the text format. */
export interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A point as lines: a histogram's buckets count everything up to their bound. */
export function samplesOf(name: string, { labels, value }: Point): Sample[] {
  if (typeof value === "number") return [{ metricName: name, labels, value }];
  let count = 0;
  const buckets = [...value.bounds, Infinity].map((bound, i) => {
    count += value.counts[i] ?? 0;
    return {
      metricName: `${name}_bucket`,
      labels: { ...labels, le: bound === Infinity ? "+Inf" : `${bound}` },
      value: count,
    };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: value.sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
