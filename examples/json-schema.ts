// Asks for an answer that fits a JSON Schema: whatever the model, it cannot be anything else, and its type is the schema's.
// Begin with a server and a model, as for chat.ts. Then: npx tsx examples/json-schema.ts [model]
import { createClient } from "@modelwire/client";

const [model = "tiny-phi3"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");
const answer = await client.chat.complete({
  model,
  messages: "What is the capital of Spain?",
  temperature: 0,
  responseFormat: {
    jsonSchema: {
      type: "object",
      properties: { capital: { enum: ["Madrid", "Paris", "Rome"] }, sure: { type: "boolean" } },
      required: ["capital", "sure"],
      additionalProperties: false,
    },
  },
});
const { capital, sure } = answer.json(); // "Madrid" | "Paris" | "Rome", and a boolean
console.log(`${capital}, ${sure ? "certainly" : "perhaps"}`);
