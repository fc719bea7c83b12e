// Asks a plain ONNX model through its typed client. Begin with a server (`npx modelwire serve`), then:
//   npx modelwire log examples/iris --name iris --input-example examples/iris-example.json
//   npx modelwire codegen iris --out examples/iris-client.ts
//   npx tsx examples/predict.ts
// Leave a column out or misspell one, and this file does not compile.
import { createClient } from "@modelwire/client";
import { type IrisRow, iris } from "./iris-client.ts";

const flowers: IrisRow[] = [
  { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 },
  { sepal_length: 6.2, sepal_width: 2.9, petal_length: 4.3, petal_width: 1.3 },
  { sepal_length: 7.7, sepal_width: 3, petal_length: 6.1, petal_width: 2.3 },
];

await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");
const { output, timings } = await iris(client).predict(flowers);
for (const { label, probabilities } of output) console.log(label, probabilities[label as keyof typeof probabilities]);
console.log(`${timings.modelMs} ms in the model, ${timings.enforcementMs} ms to hold the input against its signature`);
