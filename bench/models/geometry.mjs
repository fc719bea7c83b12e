// Shapes of the decoders that the benches make: numbers only, nothing of files or formats.

/** microsoft/Phi-3-mini-4k-instruct, from its config.json. */
export const phi3Mini = {
  layers: 32,
  hidden: 3072,
  intermediate: 8192,
  heads: 32,
  kvHeads: 32,
  headSize: 96,
  vocabulary: 32064,
  context: 4096,
  rotaryBase: 10_000,
  normEpsilon: 1e-5,
};

/** The int4 products of one layer, and the one behind the last: name, outputs N and depth K. */
export function products({ hidden, intermediate, heads, kvHeads, headSize, vocabulary }) {
  return {
    layer: [
      { name: "qkv", n: (heads + 2 * kvHeads) * headSize, k: hidden },
      { name: "o", n: hidden, k: heads * headSize },
      { name: "gate", n: intermediate, k: hidden },
      { name: "up", n: intermediate, k: hidden },
      { name: "down", n: hidden, k: intermediate },
    ],
    head: { name: "lm_head", n: vocabulary, k: hidden },
  };
}
