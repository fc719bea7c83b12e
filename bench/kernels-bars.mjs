// What must hold of the native operators on two cores with AVX512-VNNI, two threads on each side: the bars of
// `npm run bench -- kernels`, as data. Sides are those of kernels-sides.mjs.

export const genai = ["genai"];
export const llama = ["llama auto", "llama off", "llama q8"];
const ours = "native f16";

export const bars = [
  ...ratio("prefill 256", 2.3, 2.0),
  ...ratio("decode 1 256", 1.15, 1.0),
  ...ratio("decode 4 256", 1.6, 1.6),
  ...ratio("decode 8 256", 2.3, 2.8),
  ...ratio("decode 8 2048", 1.7, 1.5),
  { figure: "second load", ours, atMost: 500 },
  { figure: "private memory", ours, atMost: 0.5e9 },
  { figure: "kv per token", ours, against: genai, atLeast: 2 },
  // Of the same width: a cache of 8 bits is an option on both sides.
  { figure: "kv per token", ours, against: ["llama auto"], atLeast: 1 },
  { figure: "kv per token", ours: "native int8", against: ["llama q8"], atLeast: 1 },
  { figure: "prefill 256 avx2", ours: "native avx2", against: genai, atLeast: 1.3 },
];

function ratio(figure, overGenai, overLlama) {
  return [
    { figure, ours, against: genai, atLeast: overGenai },
    { figure, ours, against: llama, atLeast: overLlama },
  ];
}
