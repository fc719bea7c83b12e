// Generates the protobuf code again, into a temporary folder, and fails when the committed code differs.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TARGETS = [
  { inputs: ["proto"], template: "buf.gen.yaml", out: "proto/gen" },
  { inputs: ["test/proto"], template: "buf.gen.test.yaml", out: "test/gen" },
  { inputs: ["server/onnx/proto"], template: "buf.gen.onnx.yaml", out: "server/onnx/gen" },
];

const folder = mkdtempSync(join(tmpdir(), "modelwire-generate-"));
const problems = [];
try {
  for (const file of ["buf.yaml", "proto/modelwire", "proto/google", "proto/grpc", "test/proto", "server/onnx/proto"])
    cpSync(file, join(folder, file), { recursive: true });
  for (const { inputs, template, out } of TARGETS) {
    const run = spawnSync("buf", ["generate", ...inputs, "--template", template, "-o", folder], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(run.stderr || String(run.error));
    const files = new Set([...list(out), ...list(join(folder, out))]);
    for (const file of files)
      if (read(join(out, file)) !== read(join(folder, out, file))) problems.push(`${out}/${file}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (problems.length > 0) {
  console.error(`not what the .proto files generate; run "npm run generate" and commit:\n  ${problems.join("\n  ")}`);
  process.exitCode = 1;
}

function list(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}
