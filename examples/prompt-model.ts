// MLflow's custom wrapper around an ONNX LLM: a prompt goes in as it is, special tokens included, and a text comes out. The
// signature is not written down anywhere: it is inferred from the input example and from the model's answer to it.
// Begin with a server (`npx modelwire serve`), then: npx tsx examples/prompt-model.ts [folder]
import { createClient } from "@modelwire/client";

const [folder = "models/tiny-phi3/onnx"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");

const example = {
  prompt: "<|system|>You are a helpful assistant.<|end|><|user|>What is the capital of Spain?<|end|><|assistant|>",
};
const { model } = await client.models.log(folder, { name: "phi3-prompt", inputExample: example });
const comedian = client.model<{ prompt: string }, string>(model?.modelUri ?? "");
console.log((await comedian.signature()).text);

const prompt = "<|system|>You are a stand-up comedian.<|end|><|user|>Tell me a joke about atom<|end|><|assistant|>";
const answer = comedian.stream({ prompt });
for await (const text of answer) process.stdout.write(text);
const { usage } = await answer.final();
console.log(`\n${usage?.completionTokens} tokens`);
