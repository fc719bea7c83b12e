// What the benches of the operators need beside this repository, in a cache folder: the models, which are made here, and
// the peers, of pinned versions, installed by their own clients without any script of theirs. What is there is kept.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { phi3Mini } from "../models/geometry.mjs";
import { makeGgufFile } from "../models/gguf-file.mjs";
import { makeOnnxFolder } from "../models/onnx-folder.mjs";

const genaiVersion = "0.18.0"; // requirements.txt pins it
const llamaVersion = "3.22.1";
/** The packages of node-llama-cpp that hold a library for the CPU; all of its packages together are 725 MB. */
const llamaPlatforms = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
  "win32-x64": "win-x64",
};

/** `$XDG_CACHE_HOME/modelwire/bench`, or below ~/.cache. */
export function defaultCache() {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "modelwire", "bench");
}

/** The model of Phi-3-mini's geometry as an onnxruntime-genai folder. `scales`: "bf16" or "f32". */
export function onnxModel(cache, scales) {
  const folder = join(cache, `phi3-mini-${scales}-1`);
  return once(folder, () => {
    makeOnnxFolder(`${folder}.part`, { geometry: phi3Mini, scales });
    renameSync(`${folder}.part`, folder);
  });
}

/** The same for llama.cpp, as a file. */
export function ggufModel(cache) {
  const file = join(cache, "phi3-mini-1.gguf");
  return once(file, () => {
    makeGgufFile(`${file}.part`, { geometry: phi3Mini });
    renameSync(`${file}.part`, file);
  });
}

/** A Python that has onnxruntime-genai. */
export function genaiPython(cache) {
  const folder = join(cache, `genai-${genaiVersion}`);
  const python = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  once(join(folder, "installed"), () => {
    run("python3", ["-m", "venv", "--clear", folder]);
    run(python, ["-m", "pip", "install", "--quiet", "-r", fileURLToPath(new URL("requirements.txt", import.meta.url))]);
    writeFileSync(join(folder, "installed"), "");
  });
  return python;
}

/** A folder with node-llama-cpp in its node_modules. */
export function llamaModule(cache) {
  const folder = join(cache, `node-llama-cpp-${llamaVersion}`);
  const platform = llamaPlatforms[`${process.platform}-${process.arch}`];
  if (!platform) throw new Error(`node-llama-cpp has no library for ${process.platform} ${process.arch}`);
  once(join(folder, "installed"), () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
    const packages = [`node-llama-cpp@${llamaVersion}`, `@node-llama-cpp/${platform}@${llamaVersion}`];
    run("npm", ["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", ...packages], folder);
    writeFileSync(join(folder, "installed"), "");
  });
  return folder;
}

/** Makes what is not there. */
function once(path, make) {
  if (existsSync(path)) return path;
  console.log(`making ${path}`);
  mkdirSync(join(path, ".."), { recursive: true });
  make();
  return path;
}

function run(command, args, cwd) {
  execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
}
