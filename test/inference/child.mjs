// A whole life of the host in a process of its own, from the built files: load, generate, fail, close. Prints one JSON line.

const [host, folder, broken] = process.argv.slice(2);
const { createInferenceHost } = await import(host);
const inference = createInferenceHost();
await inference.load("m", folder, { threads: 1 });
const signal = new AbortController().signal;
let tokens = 0;
const request = { model: "m", messages: [{ role: "user", content: "hello" }], options: { maxTokens: 20 } };
for await (const event of inference.generate(request, signal))
  if (event.type === "delta") tokens += event.tokenIds.length;
const reason = await inference.inspect(broken).catch((error) => error.reason);
await inference.close();
console.log(JSON.stringify({ tokens, reason }));
