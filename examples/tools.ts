// Lets a model call functions of this program, until it has what it needs for its answer.
// It takes a model whose chat template knows tools, and a server that has it. Then: npx tsx examples/tools.ts <model> [question]
import { createClient, tool } from "@modelwire/client";

const [model = "", question = "How warm is it in Rome, and what time is it?"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");

const weather = tool({
  name: "weather",
  description: "The temperature in a city, in degrees Celsius",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  call: ({ city }) => ({ city, celsius: 20 }), // city is a string: the schema says so
});
const now = tool({ name: "now", description: "The present time", call: () => new Date().toISOString() });

const tools = [weather, now];
const { answer, messages } = await client.chat.runTools({ model, messages: question, tools, maxTokens: 500 });
for (const { toolCalls = [] } of messages)
  for (const { name, argumentsJson } of toolCalls) console.log(`${name}(${argumentsJson})`);
console.log(answer.text);
