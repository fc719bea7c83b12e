import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Tests read the sources, so that a stack trace names them. Only the inference worker, which is a
  // thread of its own, runs from server/dist.
  resolve: {
    alias: {
      "@modelwire/proto": source("./proto/index.ts"),
      "@modelwire/client": source("./client/index.ts"),
    },
  },
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // ONNX Runtime 1.30 keeps a telemetry database unless told not to.
    env: { ORT_DISABLE_TELEMETRY: "1" },
  },
});
