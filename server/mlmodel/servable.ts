// Which part of an MLflow model can be served here, decided by its MLmodel file and the names of its files. It must
// never look at a disk, nor at anything that only model code would understand.

import type { Mlmodel, YamlMap } from "./mlmodel-file.ts";
import { GENAI_FLAVOR } from "./model-files.ts";

export type Servable =
  /** @property folder In the model's folder, "" for itself: where genai_config.json lies. */
  | { readonly kind: "llm"; readonly folder: string }
  /** @property file In the model's folder; its external data lies beside it. @property flavor The entries of `onnx`. */
  | { readonly kind: "onnx"; readonly file: string; readonly flavor: YamlMap }
  /** @property reason Every flavor, and why it cannot be served; to follow "because". */
  | { readonly kind: "none"; readonly reason: string };

const GENAI_CONFIG = "genai_config.json";

/** A hostile MLmodel may name thousands; nobody reads more than these. */
const MOST_NAMED = 20;

/** What the flavors that people log most consist of. */
const CONTENTS: ReadonlyMap<string, string> = new Map([
  ["transformers", "PyTorch weights"],
  ["sentence_transformers", "PyTorch weights"],
  ["diffusers", "PyTorch weights"],
  ["pytorch", "a pickled PyTorch module"],
  ["sklearn", "a pickled estimator"],
  ["statsmodels", "a pickled model"],
  ["pmdarima", "a pickled model"],
  ["prophet", "a model that only its library reads"],
  ["xgboost", "trees that only its library reads"],
  ["lightgbm", "trees that only its library reads"],
  ["catboost", "trees that only its library reads"],
  ["h2o", "a model that only its library reads"],
  ["spacy", "a pipeline that only its library reads"],
  ["spark", "a pipeline that only its library reads"],
  ["paddle", "a graph of another runtime"],
  ["tensorflow", "a graph of another runtime"],
  ["keras", "a graph of another runtime"],
  ["langchain", "Python objects of an agent library"],
  ["llama_index", "Python objects of an agent library"],
  ["dspy", "Python objects of an agent library"],
  ["openai", "the address of a remote service, which is never called from here"],
]);

/**
 * Our own flavor and python_function come first, then `onnx`, then a folder that only looks like an ONNX LLM.
 * @param files Paths of all regular files of the model, with "/" between the parts. What is not among them is not there,
 *   so that no path of the MLmodel file can lead out of the folder.
 */
export function servableOf(mlmodel: Mlmodel, files: readonly string[]): Servable {
  const there = new Set(files);
  const isLlm = (folder: string) => there.has(folder === "" ? GENAI_CONFIG : `${folder}/${GENAI_CONFIG}`);
  const why = new Map<string, string>();

  const own = mlmodel.flavors[GENAI_FLAVOR];
  if (own !== undefined) {
    const found = llmAt(own.data, isLlm);
    if ("folder" in found) return { kind: "llm", folder: found.folder };
    why.set(GENAI_FLAVOR, `its data ${found.problem}`);
  }
  const pyfunc = mlmodel.flavors.python_function;
  if (pyfunc !== undefined) {
    const found = pyfuncLlm(pyfunc, isLlm);
    if ("folder" in found) return { kind: "llm", folder: found.folder };
    why.set("python_function", found.problem);
  }
  const onnx = mlmodel.flavors.onnx;
  if (onnx !== undefined) {
    const { data } = onnx;
    const problem = pathProblem(data) ?? (there.has(data as string) ? undefined : `${show(data)} is no file of it`);
    if (problem === undefined) return { kind: "onnx", file: data as string, flavor: onnx };
    why.set("onnx", `its data ${problem}`);
  }
  for (const folder of ["model", ""]) if (isLlm(folder)) return { kind: "llm", folder };
  return { kind: "none", reason: reasonOf(Object.keys(mlmodel.flavors), why) };
}

function reasonOf(flavors: readonly string[], why: ReadonlyMap<string, string>): string {
  if (flavors.length === 0) return `its MLmodel names no flavor, and there is no ${GENAI_CONFIG}`;
  // python_function says how the others are loaded, so it comes last.
  const order = [...flavors.filter((name) => name !== "python_function").sort(), "python_function"];
  const said = order
    .filter((name) => flavors.includes(name))
    .map((name) => {
      const contents = CONTENTS.get(name) ?? "is no flavor of ONNX, nor one that this server knows";
      return `${clip(name)}: ${why.get(name) ?? contents}`;
    });
  if (said.length > MOST_NAMED)
    said.splice(MOST_NAMED - 1, said.length - MOST_NAMED, `${said.length - MOST_NAMED} further flavors`);
  return said.join("; ");
}

/** An ONNX LLM among what a Python model brings with it: its artifacts, or its data. Its code is never run. */
function pyfuncLlm(pyfunc: YamlMap, isLlm: (folder: string) => boolean): { folder: string } | { problem: string } {
  const data = llmAt(pyfunc.data, isLlm);
  if ("folder" in data) return data;
  const artifacts = isMap(pyfunc.artifacts) ? Object.entries(pyfunc.artifacts) : [];
  const folders = new Map<string, string>();
  const outside: string[] = [];
  for (const [name, entry] of artifacts) {
    const path = isMap(entry) ? entry.path : undefined;
    const found = llmAt(path, isLlm);
    if ("folder" in found) folders.set(found.folder, name);
    else if (pathProblem(path) !== undefined) outside.push(`the path of its artifact ${show(name)} ${found.problem}`);
  }
  const [only, second] = folders.keys();
  if (only !== undefined && second === undefined) return { folder: only };
  const found =
    artifacts.length === 0
      ? "it has no artifacts"
      : only !== undefined
        ? `${folders.size} of its artifacts are ONNX LLM folders, and only its code knows which one answers`
        : "none of its artifacts is an ONNX LLM folder";
  const hints = pyfunc.data === undefined ? [] : [`its data ${data.problem}`];
  return { problem: [loaderOf(pyfunc), found, ...hints, ...outside.slice(0, MOST_NAMED)].join("; ") };
}

/** What Python would do to load it. */
function loaderOf(pyfunc: YamlMap): string {
  const loader = typeof pyfunc.loader_module === "string" ? pyfunc.loader_module : "";
  if (loader === "mlflow.pyfunc.model") return "mlflow.pyfunc.model with pickled code, which is never loaded here";
  if (loader.startsWith("mlflow.pyfunc.loaders."))
    return pyfunc.model_code_path === undefined
      ? `${clip(loader)} with pickled code, which is never loaded here`
      : "a model from code, which is never run here";
  if (loader.startsWith("mlflow.")) return `loaded by ${clip(loader)}`;
  return `the Python module ${show(loader)}, which is never imported here`;
}

function llmAt(path: unknown, isLlm: (folder: string) => boolean): { folder: string } | { problem: string } {
  const problem = pathProblem(path);
  if (problem !== undefined) return { problem };
  const folder = (path as string).replace(/\/$/, "");
  return isLlm(folder) ? { folder } : { problem: `${show(folder)} is no folder with a ${GENAI_CONFIG}` };
}

/** Why text of an MLmodel file is no path in the model's folder; undefined for one that may be. */
function pathProblem(path: unknown): string | undefined {
  if (typeof path !== "string" || path === "") return "names no path";
  const parts = path.replace(/\/$/, "").split("/");
  if (path.startsWith("/") || /[\\:\0]/.test(path) || parts.some((part) => ["", ".", ".."].includes(part)))
    return `${show(path)} does not stay in the model's folder: a relative path with "/" between its parts is wanted`;
  return undefined;
}

function isMap(value: unknown): value is YamlMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return JSON.stringify(clip(typeof value === "string" ? value : String(value)));
}

function clip(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`;
}
