// The figures of single operators of `npm run bench -- kernels`: every product of the model at several numbers of rows,
// attention at several shapes, each beside ONNX Runtime's.
import { fileURLToPath } from "node:url";
import { phi3Mini, products } from "./models/geometry.mjs";
import { startSide } from "./peers/side.mjs";
import { summary } from "./table.mjs";

const rowCounts = [1, 2, 4, 8, 16, 64, 256];
const attentions = [
  { batch: 1, tokens: 1, context: 256 },
  { batch: 1, tokens: 1, context: 2048 },
  { batch: 8, tokens: 1, context: 256 },
  { batch: 8, tokens: 1, context: 2048 },
  { batch: 1, tokens: 256, context: 256 },
  { batch: 1, tokens: 64, context: 2048 },
];

/** Figures of sides "ours", "ours f32" (attention with such a cache) and "onnxruntime". */
export async function operatorFigures(threads) {
  const script = fileURLToPath(new URL("peers/operators.mjs", import.meta.url));
  const process_ = await startSide("operators", process.execPath, [script, JSON.stringify({ threads })]);
  const figures = [];
  const take = async (id, title, request) => {
    const sides = await process_.ask(request).then(
      ({ ms }) => Object.fromEntries(Object.entries(ms).map(([side, samples]) => [side, summary(samples)])),
      (error) => ({ ours: { absent: error.message } }),
    );
    figures.push({ id, title, unit: "ms", operator: true, sides });
  };
  try {
    const { layer, head } = products(phi3Mini);
    // gate and up have the same shape.
    for (const { name, n, k } of [...layer.filter(({ name }) => name !== "up"), head]) {
      for (const rows of rowCounts) {
        const title = `${name}, ${n} × ${k}, ${rows} ${rows === 1 ? "row" : "rows"}`;
        await take(`product ${name} ${rows}`, title, { do: "product", n, k, rows, rounds: rows > 16 ? 3 : 7 });
      }
    }
    const { heads, headSize } = phi3Mini;
    for (const shape of attentions) {
      const { batch, tokens, context } = shape;
      const title = `attention, ${batch} × ${tokens} of context ${context}`;
      await take(`attention ${batch} ${tokens} ${context}`, title, {
        do: "attention",
        heads,
        headSize,
        ...shape,
        rounds: 5,
      });
    }
  } finally {
    await process_.stop();
  }
  return figures;
}
