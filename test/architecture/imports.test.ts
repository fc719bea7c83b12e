// Who may import whom, as docs/architecture.md draws it. It reads import statements as text and resolves nothing.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Part → the parts and files of ours that it may import besides itself and the parts within it. Longest prefix wins. */
const MAY: Record<string, string[]> = {
  proto: [],
  client: ["proto"],
  "server/rpc": ["proto"],
  "server/mlmodel": ["proto"],
  // Within MLflow's rules; `schema.ts` holds types alone.
  "server/mlmodel/data": ["proto", "server/mlmodel/schema.ts"],
  "server/mlmodel/yaml": ["proto", "server/mlmodel/data"],
  "server/mlmodel/enforce": ["proto", "server/mlmodel/schema.ts", "server/mlmodel/data"],
  "server/mlmodel/signature": ["proto", "server/mlmodel/schema.ts", "server/mlmodel/data", "server/mlmodel/enforce"],
  "server/store": ["proto", "server/mlmodel"],
  "server/onnx": [],
  "server/decoder": ["server/onnx"],
  // In which form a model calls tools, as what an answer is made of.
  "server/tokenizer": ["server/grammar/output-format.ts"],
  // A grammar becomes what the decoder asks about tokens.
  "server/grammar": ["server/decoder/constraint.ts"],
  "server/inference": ["server/onnx", "server/decoder", "server/tokenizer", "server/grammar"],
  // Of the wire the schema of one message: what uploads bring is counted.
  "server/metrics": ["proto", "server/rpc/call-watcher.ts", "server/inference/types.ts"],
  "server/tracing": ["proto", "server/rpc/call-watcher.ts"],
  "server/services": ["proto", "server/rpc", "server/store", "server/inference", "server/mlmodel"],
  // The client only in the text that it writes.
  "server/codegen": ["proto", "client"],
  "server/cli": ["proto", "client", "server/codegen", "server"],
  server: [
    ...["proto", "client", "server/rpc", "server/services", "server/store", "server/inference", "server/onnx"],
    ...["server/metrics", "server/tracing"],
  ],
};

/** Files that only the process may reach past an interface for. */
const CONCRETE = /^server\/(store\/open|store\/sql\/|store\/artifacts\/)/;

const sources = Object.keys(MAY).flatMap((part) =>
  part.includes("/") || part === "server"
    ? []
    : readdirSync(join(ROOT, part), { recursive: true, encoding: "utf8" }).map((file) => join(part, file)),
);
const serverSources = readdirSync(join(ROOT, "server"), { recursive: true, encoding: "utf8" }).map((file) =>
  join("server", file),
);
const files = [...sources, ...serverSources].filter(
  (file) => file.endsWith(".ts") && !/(^|\/)(dist|node_modules|gen)\//.test(file),
);

function partOf(file: string): string {
  const parts = Object.keys(MAY).filter((part) => file.startsWith(`${part}/`));
  return parts.sort((a, b) => b.length - a.length)[0] ?? "elsewhere";
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].flatMap(([, specifier = ""]) => {
    if (specifier.startsWith(".")) return [relative(ROOT, join(ROOT, dirname(file), specifier))];
    if (specifier === "@modelwire/proto") return ["proto/index.ts"];
    if (specifier === "@modelwire/client") return ["client/index.ts"];
    return [];
  });
}

function forbidden(file: string, imported: string): boolean {
  const [from, to] = [partOf(file), partOf(imported)];
  // Not those within "server", which is the process alone.
  const within = (part: string) => to === part || (part !== "server" && to.startsWith(`${part}/`));
  if (!within(from) && !(MAY[from] ?? []).some((may) => within(may) || may === imported)) return true;
  return CONCRETE.test(imported) && !CONCRETE.test(file) && from !== "server" && from !== "server/store";
}

test("every import follows an arrow of the architecture", () => {
  expect(files.length).toBeGreaterThan(40);
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((to) => forbidden(file, to))
      .map((to) => `${file} → ${to}`),
  );
  expect(wrong).toEqual([]);
});

test("the check sees a forbidden import", () => {
  expect(forbidden("client/index.ts", "server/app.ts")).toBe(true);
  expect(forbidden("server/decoder/engine.ts", "server/tokenizer/tokenizer.ts")).toBe(true);
  expect(forbidden("server/services/chat-service.ts", "server/store/sql/runs.ts")).toBe(true);
  expect(forbidden("server/mlmodel/data/data.ts", "server/mlmodel/enforce/enforce.ts")).toBe(true);
  expect(forbidden("server/mlmodel/enforce/enforce.ts", "server/mlmodel/mlmodel-file.ts")).toBe(true);
  expect(forbidden("server/mlmodel/enforce/enforce.ts", "server/mlmodel/schema.ts")).toBe(false);
  expect(forbidden("server/app.ts", "server/mlmodel/data/data.ts")).toBe(true);
  expect(forbidden("server/store/staged.ts", "server/mlmodel/yaml/read.ts")).toBe(false);
  expect(forbidden("server/decoder/engine.ts", "server/onnx/model-runner.ts")).toBe(false);
});

test("only server/onnx calls native code directly", () => {
  const users = files.filter((file) => /from "koffi"/.test(readFileSync(join(ROOT, file), "utf8")));
  expect(users.every((file) => file.startsWith("server/onnx/"))).toBe(true);
});

test("no model family is named in the decoder", () => {
  const named = files.filter(
    (file) =>
      file.startsWith("server/decoder/") &&
      /phi|llama|qwen|gemma|mistral/i.test(readFileSync(join(ROOT, file), "utf8")),
  );
  expect(named).toEqual([]);
});
