// The charts of `npm run bench -- engine`: which figures they show, and in what unit.
import { groupedBars } from "./chart.mjs";

/** Sides that are drawn, in this order, with their colours, which are those of the other bench. */
const series = [
  { side: "modelwire", label: "ours, through gRPC", colour: "#0b6e4f" },
  { side: "one at a time", label: "ours, one at a time", colour: "#6bbf8a" },
  { side: "node loop", label: "onnxruntime-node loop", colour: "#9aa0a6" },
  { side: "genai one", label: "onnxruntime-genai, one at a time", colour: "#d1495b" },
  { side: "genai engine", label: "onnxruntime-genai Engine", colour: "#eda6ae" },
  { side: "llama auto", label: "llama.cpp", colour: "#2f5d9e" },
  { side: "llama off", label: "llama.cpp, flash attention off", colour: "#6d97cf" },
  { side: "llama q8", label: "llama.cpp, flash attention, 8-bit KV", colour: "#b3cbea" },
];

/** {title, file, svg} of each chart that there are figures for. */
export function charts(figures) {
  const values = (id, factor = 1) => {
    const found = figures.find((one) => one.id === id);
    return Object.fromEntries(
      Object.entries(found?.sides ?? {})
        .filter(([, { median }]) => Number.isFinite(median))
        .map(([side, { median, low, high }]) => [
          side,
          { value: median * factor, low: low * factor, high: high * factor },
        ]),
    );
  };
  const groups = (list) => list.filter(({ values: of }) => Object.keys(of).length > 0);
  const counts = [1, 2, 4, 8, 16];
  const list = [
    {
      file: "loads",
      title: "New tokens per second under load",
      subtitle: "all requests together, over the whole time",
      axis: "load",
      unit: "tok/s",
      groups: groups([
        { label: "ragged: 8, one second apart", values: values("ragged rate") },
        { label: "decode-heavy: 8 at once", values: values("heavy rate") },
      ]),
    },
    {
      file: "first-token",
      title: "Mean time to the first token under load",
      subtitle: "8 requests one second apart",
      axis: "load",
      unit: "s",
      groups: groups([{ label: "ragged", values: values("ragged first", 1 / 1000) }]),
    },
    {
      file: "concurrent",
      title: "New tokens per second by how many ask at once",
      subtitle: "prompts of 32 tokens included",
      axis: "requests at once",
      unit: "tok/s",
      groups: groups(counts.map((count) => ({ label: `${count}`, values: values(`concurrent rate ${count}`) }))),
    },
    {
      file: "between-tokens",
      title: "Between two tokens by how many ask at once, ours",
      subtitle: "half of the times and 99 in 100 are shorter",
      axis: "requests at once",
      unit: "ms",
      groups: groups(
        counts.map((count) => {
          const [p50, p99] = ["p50", "p99"].map((part) => values(`concurrent ${part} ${count}`).modelwire);
          return { label: `${count}`, values: p50 && p99 ? { p50, p99 } : {} };
        }),
      ),
      series: [
        { side: "p50", label: "p50", colour: "#0b6e4f" },
        { side: "p99", label: "p99", colour: "#6bbf8a" },
      ],
    },
  ];
  return list
    .filter((chart) => chart.groups.length > 0)
    .map(({ file, ...chart }) => ({ file, title: chart.title, svg: groupedBars({ series, ...chart }) }));
}
