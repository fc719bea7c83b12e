// The charts of `npm run bench -- kernels`: which figures they show, and in what unit.
import { groupedBars } from "./chart.mjs";
import { phi3Mini, products } from "./models/geometry.mjs";

/** Sides that are drawn, in this order, with their colours. Colours keep their side in every chart. */
const series = [
  { side: "native f16", label: "ours, f16 KV", colour: "#0b6e4f" },
  { side: "native f32", label: "ours, f32 KV", colour: "#6bbf8a" },
  { side: "stock", label: "our stock runner", colour: "#9aa0a6" },
  { side: "genai", label: "onnxruntime-genai", colour: "#d1495b" },
  { side: "llama auto", label: "llama.cpp", colour: "#2f5d9e" },
  { side: "llama off", label: "llama.cpp, flash attention off", colour: "#6d97cf" },
  { side: "llama q8", label: "llama.cpp, flash attention, 8-bit KV", colour: "#b3cbea" },
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
  const drawn = [...list.map((chart) => ({ ...chart, unit: "tok/s", series })), productsChart(figures)];
  return drawn
    .filter(({ groups }) => groups.length > 0)
    .map(({ file, ...chart }) => ({ file, title: chart.title, svg: groupedBars(chart) }));
}

/** All int4 products of the model, each as often as it has it. */
function productsChart(figures) {
  const { layer, head } = products(phi3Mini);
  const all = [...Array(phi3Mini.layers).fill(layer).flat(), head];
  const multiplications = all.reduce((sum, { n, k }) => sum + n * k, 0);
  const shown = [
    { side: "ours", label: "MatMulInt4 (ours)", colour: "#0b6e4f" },
    { side: "onnxruntime", label: "MatMulNBits (ONNX Runtime)", colour: "#d1495b" },
  ];
  const time = (rows, side, of) =>
    all.reduce((sum, { name }) => {
      // gate and up have the same shape, and one figure.
      const id = `product ${name === "up" ? "gate" : name} ${rows}`;
      return sum + (figures.find((one) => one.id === id)?.sides[side]?.[of] ?? Number.NaN);
    }, 0);
  const rowCounts = figures.filter(({ id }) => id.startsWith("product qkv ")).map(({ id }) => Number(id.split(" ")[2]));
  const rate = (rows, ms) => (2 * rows * multiplications) / ms / 1e6;
  const groups = rowCounts.map((rows) => {
    const values = shown.map(({ side }) => {
      const [value, low, high] = ["median", "high", "low"].map((of) => rate(rows, time(rows, side, of)));
      return [side, { value, low, high }];
    });
    return { label: `${rows}`, values: Object.fromEntries(values.filter(([, { value }]) => Number.isFinite(value))) };
  });
  return {
    file: "products",
    title: "Int4 products of the whole model",
    subtitle: "thousand million operations per second by rows of activations",
    axis: "rows of activations",
    unit: "GOP/s",
    groups: groups.filter(({ values }) => Object.keys(values).length > 0),
    series: shown,
  };
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
