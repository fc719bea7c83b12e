// Finds the ONNX Runtime library that the onnxruntime-node package ships for this platform. Knows paths
// and versions only; it must never load the library.

import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { RuntimeUnavailableError } from "./errors.ts";

/** The version whose behaviour the runner relies on. Another one is refused until it has been tried. */
export const pinnedVersion = "1.30.0";

const fileNames: Readonly<Record<string, string>> = {
  "linux-x64": "libonnxruntime.so.1",
  "linux-arm64": "libonnxruntime.so.1",
  "darwin-arm64": "libonnxruntime.1.dylib",
  "win32-x64": "onnxruntime.dll",
  "win32-arm64": "onnxruntime.dll",
};

/**
 * Absolute path of the library.
 * @throws RuntimeUnavailableError on a platform without one, or when the package or its file is missing.
 */
export function libraryPath(platform: string = process.platform, arch: string = process.arch): string {
  const fileName = fileNames[`${platform}-${arch}`];
  if (fileName === undefined) {
    throw new RuntimeUnavailableError(
      `ONNX Runtime has no library for ${platform} ${arch}. Supported: ${Object.keys(fileNames)
        .map((key) => key.replace("-", " "))
        .join(", ")}. Run the server on one of these, for example in a linux x64 or linux arm64 container.`,
    );
  }
  const bin = join(packageFolder(), "bin");
  const abi = existsSync(bin) ? readdirSync(bin).find((name) => name.startsWith("napi-v")) : undefined;
  const path = abi === undefined ? undefined : join(bin, abi, platform, arch, fileName);
  if (path === undefined || !existsSync(path)) {
    throw new RuntimeUnavailableError(
      `onnxruntime-node is installed without ${fileName} for ${platform} ${arch} (looked under ${bin}). ` +
        `Reinstall onnxruntime-node ${pinnedVersion}; a bundler or a pruned image must keep its bin folder.`,
    );
  }
  return path;
}

function packageFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  } catch {
    throw new RuntimeUnavailableError(
      `The package onnxruntime-node is not installed. Install onnxruntime-node ${pinnedVersion}.`,
    );
  }
}
