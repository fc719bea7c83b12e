// Asks a model and prints the answer as it forms. Begin with a server and a model: `npx modelwire serve`, then
// `npx modelwire log models/tiny-phi3/onnx --name tiny-phi3`. Then: npx tsx examples/chat.ts "What is the capital of Spain?"
import { createClient } from "@modelwire/client";

const question = process.argv[2] ?? "What is the capital of Spain?";
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");
const answer = client.chat.stream({ model: "tiny-phi3", messages: question, temperature: 0 });
for await (const text of answer) process.stdout.write(text);
const { usage, timings } = await answer.final();
console.log(`\n${usage.completionTokens} tokens, ${timings.tokensPerSecond.toFixed(1)} a second`);
