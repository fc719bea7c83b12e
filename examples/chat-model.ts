// An ONNX LLM as an MLflow model of the task llm/v1/chat: logged, then asked by its signature. The answer has OpenAI's
// shape, and Python gets the same one by `mlflow.pyfunc.load_model(uri).predict(…)`.
// Begin with a server (`npx modelwire serve`), then: npx tsx examples/chat-model.ts [folder]
import { createClient } from "@modelwire/client";

const [folder = "models/tiny-phi3/onnx"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");

const { model } = await client.models.log(folder, { name: "phi3-chat", task: "llm/v1/chat" });
console.log(`logged ${model?.modelUri}, task ${model?.task}`);

const question = { messages: [{ role: "user", content: "What is the capital of Spain?" }] };
const { output } = await client.model(model?.modelUri ?? "").predict(question);
console.log(JSON.stringify(output, undefined, 2));
