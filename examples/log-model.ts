// Logs a model folder, then finds it again. Run it with: npx tsx examples/log-model.ts <folder> <name>
import { ApiError, createClient } from "@modelwire/client";

const [folder = "models/tiny-phi3/onnx", name = "tiny-phi3"] = process.argv.slice(2);
await using client = createClient(process.env.MODELWIRE_ADDRESS ?? "127.0.0.1:50051");
try {
  const { model, files } = await client.models.log(folder, {
    name,
    tags: { source: "examples" },
    onProgress: ({ path, bytesSent, bytesTotal }) => console.log(`${bytesSent} of ${bytesTotal} bytes: ${path}`),
  });
  console.log(`${model?.modelUri} has ${files.length} files`);
  for await (const { modelId, sizeBytes } of client.models.searchAll({ name })) console.log(modelId, sizeBytes);
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  console.error(error.codeName, error.reason, error.message, error.violations);
  process.exitCode = 1;
}
