// The package that this program is part of: its version, its folder, and the model that comes with it. It must never
// take the working directory into account.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** The package's own package.json, found by its name, so that it is the same from the sources and from dist. */
const manifest = require.resolve("modelwire/package.json");

export const version: string = (require(manifest) as { version: string }).version;

/** Folder of the bundled model: inside the package, or beside it in a checkout. @throws Error that names both places. */
export function bundledModel(): string {
  const root = dirname(manifest);
  const places = [join(root, "models/tiny-phi3/onnx"), join(root, "../models/tiny-phi3/onnx")];
  const found = places.find((place) => existsSync(join(place, "genai_config.json")));
  if (!found) throw new Error(`the bundled model is missing; looked in ${places.join(" and ")}`);
  return found;
}
