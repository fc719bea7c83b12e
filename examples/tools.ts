// Lets a model ask for functions of this program, gives it their results, and prints the answer that it makes of them.
// It takes a model whose chat template knows tools, and a server that has it. Then: npx tsx examples/tools.ts <model> [question]
import { type ChatTurn, createClient, tool } from "@modelwire/client";

const [model = "", question = "How warm is it in Rome, and what time is it?"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");

const weather = tool({
  name: "weather",
  description: "The temperature in a city, in degrees Celsius",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const now = tool({ name: "now", description: "The present time" });

const messages: ChatTurn[] = [{ role: "user", content: question }];
for (let turn = 0; turn < 5; turn++) {
  const answer = await client.chat.complete({ model, messages, tools: [weather, now], maxTokens: 500 });
  messages.push(answer.message);
  if (answer.finishReason !== "tool_calls") {
    console.log(answer.text);
    break;
  }
  for (const call of answer.toolCalls) {
    // The name tells which arguments there are.
    const result = call.name === "weather" ? { city: call.arguments().city, celsius: 20 } : new Date().toISOString();
    console.log(`${call.name}(${call.argumentsJson})`);
    messages.push(call.result(result));
  }
}
