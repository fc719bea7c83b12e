// The benches whose figures must hold, by name:
//   npm run bench -- kernels [--quick] [options]
//   npm run bench -- engine [--quick] [options]
//   npm run bench -- engine --help
// Each prints a table, writes it with charts to bench/results/, and ends with 1 when a bar does not hold.
const benches = {
  grammar: "what it costs to hold an answer to a form, per token",
  kernels: "the native operators against ONNX Runtime's, onnxruntime-genai and llama.cpp",
  engine: "the decoder engine, in process and through gRPC, against the same, under loads of many requests",
};

const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(benches, name ?? "")) {
  console.error("usage: npm run bench -- BENCH [--help] [options]\n");
  for (const [bench, what] of Object.entries(benches)) console.error(`  ${bench.padEnd(10)} ${what}`);
  process.exit(name === undefined || name === "--help" ? 0 : 2);
}
const { main } = await import(`./${name}.mjs`);
process.exitCode = await main(args);
