// The charts of `npm run bench -- kernels`: which figures they show, and in what unit.
import { groupedBars } from "./chart.mjs";

/** Sides that are drawn, in this order, with their colours. Colours keep their side in every chart. */
const series = [
  { side: "native f16", label: "ours, f16 KV", colour: "#0b6e4f" },
  { side: "native f32", label: "ours, f32 KV", colour: "#6bbf8a" },
  { side: "stock", label: "our stock runner", colour: "#9aa0a6" },
  { side: "genai", label: "onnxruntime-genai", colour: "#d1495b" },
  { side: "llama auto", label: "llama.cpp", colour: "#2f5d9e" },
  { side: "llama off", label: "llama.cpp, no flash attention", colour: "#6d97cf" },
  { side: "llama q8", label: "llama.cpp, 8-bit KV", colour: "#b3cbea" },
];

/** {title, file, svg} of each chart that there are figures for. */
export function charts(figures) {
  const rates = (prefix, tokens, label) =>
    figures
      .filter(({ id, operator }) => !operator && id.startsWith(prefix) && tokens(id) > 0)
      .map(({ id, sides }) => ({ label: label(id), values: perSecond(sides, tokens(id)) }));
  const number = (id, place) => Number(id.split(" ")[place]);
  const list = [
    {
      file: "prefill",
      title: "Prefill",
      subtitle: "tokens per second by length of the prompt, one sequence",
      groups: rates(
        "prefill ",
        (id) => (id.split(" ").length === 2 ? number(id, 1) : 0),
        (id) => `${number(id, 1)}`,
      ),
      axis: "tokens of the prompt",
    },
    ...[32, 256, 2048].map((context) => ({
      file: `decode-${context}`,
      title: `Decode, context ${context}`,
      subtitle: "tokens per second of all sequences together, by how many decode at once",
      groups: rates(
        "decode ",
        (id) => (number(id, 2) === context ? number(id, 1) : 0),
        (id) => `${number(id, 1)}`,
      ),
      axis: "sequences at once",
    })),
  ];
  return list
    .filter(({ groups }) => groups.length > 0)
    .map(({ file, groups, ...words }) => ({
      file,
      title: words.title,
      svg: groupedBars({ ...words, unit: "tok/s", groups, series }),
    }));
}

/** Of milliseconds in which so many tokens came. */
function perSecond(sides, tokens) {
  const rate = (ms) => (tokens * 1000) / ms;
  return Object.fromEntries(
    Object.entries(sides)
      .filter(([, one]) => one.median !== undefined)
      .map(([side, { median, low, high }]) => [side, { value: rate(median), low: rate(high), high: rate(low) }]),
  );
}
