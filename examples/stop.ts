// Three ways to end an answer early. The server stops working on it at once in each.
// Run it with: npx tsx examples/stop.ts
import { ApiError, Code, createClient } from "@modelwire/client";

await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");
const question = { model: "tiny-phi3", messages: "Tell me about the planets." };

// Leave the loop.
const first = client.chat.stream(question);
for await (const _ of first) if (first.text.length > 20) break;
console.log(`left the loop after: ${first.text}`);

// Abort a signal, from anywhere. What had come is still there.
const abort = new AbortController();
const second = client.chat.stream(question, { signal: abort.signal });
try {
  for await (const _ of second) abort.abort(new Error("that is enough"));
} catch (error) {
  if (!(error instanceof ApiError && error.code === Code.CANCELLED)) throw error;
  console.log(`aborted after: ${second.text}; because: ${(error.cause as Error).message}`);
}

// Let the model stop: at a text, or after so many tokens.
const third = await client.chat.complete({ ...question, stop: [".", "\n"], maxTokens: 16 });
console.log(`stopped by itself (${third.finishReason}): ${third.text}`);
