// The files that tell Python which environment a model wants: requirements.txt, conda.yaml, python_env.yaml and
// constraints.txt, in MLflow's layout and read as MLflow reads them. It knows no model, and installs nothing.
import { ApiError } from "@modelwire/proto";
import { readYaml } from "./yaml/read.ts";
import { isYamlMap, type YamlMap, type YamlValue } from "./yaml/value.ts";
import { writeYaml } from "./yaml/write.ts";

/** The Python release that the environment files name: the newest that MLflow 3.17.2 and the loader were run with. */
export const PYTHON_VERSION = "3.11.9";

/** What such a Python ships. */
const BUILD_DEPENDENCIES = ["pip==24.0", "setuptools==65.5.0", "wheel"];

export const MLFLOW_VERSION = "3.17.2";
export const GENAI_VERSION = "0.18.0";
export const ONNX_VERSION = "1.23.2";

const MLFLOW_REQUIREMENT = `mlflow==${MLFLOW_VERSION}`;

/** What Python needs to run an ONNX LLM through our loader. */
export const GENAI_REQUIREMENTS: readonly string[] = [MLFLOW_REQUIREMENT, `onnxruntime-genai==${GENAI_VERSION}`];

/** What mlflow.onnx 3.17.2 infers for a model of its own, with the releases that it was tried with. */
export const ONNX_REQUIREMENTS: readonly string[] = [
  MLFLOW_REQUIREMENT,
  "numpy==2.4.6",
  `onnx==${ONNX_VERSION}`,
  "onnxruntime==1.31.1",
];

export interface Requirements {
  /** Lines of requirements.txt. MLflow itself comes first when none of them is for it. */
  readonly requirements: readonly string[];
  /** Lines of constraints.txt; without any there is no such file. */
  readonly constraints?: readonly string[];
}

/** File name to text. */
export function environmentFiles({ requirements, constraints = [] }: Requirements): Readonly<Record<string, string>> {
  const lines = [
    ...(requirements.some(isMlflow) ? [] : [MLFLOW_REQUIREMENT]),
    ...requirements,
    ...(constraints.length > 0 ? ["-c constraints.txt"] : []),
  ];
  return {
    "requirements.txt": lines.join("\n"),
    ...(constraints.length > 0 ? { "constraints.txt": constraints.join("\n") } : {}),
    "conda.yaml": writeYaml({
      channels: ["conda-forge"],
      dependencies: [`python=${PYTHON_VERSION}`, "pip<=24.0", { pip: lines }],
      name: "mlflow-env",
    }),
    "python_env.yaml": writeYaml(
      { python: PYTHON_VERSION, build_dependencies: BUILD_DEPENDENCIES, dependencies: ["-r requirements.txt"] },
      { sortKeys: false },
    ),
  };
}

/** What MLflow would install for a model. */
export interface Environment {
  /** undefined when the files do not say: MLflow then takes the Python that it runs on. */
  readonly python: string | undefined;
  /** Installed before the rest: pip, setuptools, wheel. */
  readonly buildDependencies: readonly string[];
  /** What pip is asked for, the contents of files named by -r put in their place. */
  readonly requirements: readonly string[];
  /** What pip is held to, from files named by -c. */
  readonly constraints: readonly string[];
  /** Dependencies in conda.yaml that only conda could install: MLflow warns of them and goes on. */
  readonly condaOnly: readonly string[];
}

/** How many files may name each other by -r and -c. */
const MAX_REQUIREMENT_FILES = 20;

/** Mistakes told one by one; the rest is counted. */
const MAX_MISTAKES = 100;

/**
 * @param texts File name to text, of those that the model has. Other requirement files may be among them.
 * @param env `env` of the model's python_function flavor: since MLflow 2 a map of file names, in 1.x a text.
 * @throws ApiError MODEL_INVALID with everything that MLflow would refuse.
 */
export function readEnvironment(texts: ReadonlyMap<string, string>, env?: YamlValue): Environment {
  const names = environmentNames(env);
  const wrong: string[] = [];
  const pythonEnv = texts.get(names.virtualenv);
  const conda = texts.get(names.conda);
  const found =
    pythonEnv !== undefined
      ? fromPythonEnv(pythonEnv, names.virtualenv, wrong)
      : conda !== undefined
        ? fromConda(conda, names.conda, wrong)
        : NOTHING;
  // MLflow prefers requirements.txt to the pip list of conda.yaml.
  const lines = pythonEnv === undefined && texts.has("requirements.txt") ? ["-r requirements.txt"] : found.dependencies;
  const requirements: string[] = [];
  const constraints: string[] = [];
  let files = 0;
  const take = (lines: readonly string[], isConstraint: boolean) => {
    for (const line of requirementLines(lines)) {
      const [, option, name = ""] = /^(-r|--requirement|-c|--constraint)\s+(.+)$/.exec(line) ?? [];
      if (option === undefined) (isConstraint ? constraints : requirements).push(line);
      else if (++files > MAX_REQUIREMENT_FILES) wrong.push(`more than ${MAX_REQUIREMENT_FILES} requirement files`);
      else if (!texts.has(name)) wrong.push(`${line}: the model has no such file`);
      else if (files <= MAX_REQUIREMENT_FILES) take(splitLines(texts.get(name) ?? ""), option.includes("c"));
    }
  };
  take(lines, false);
  const mistakes = [...new Set(wrong)];
  if (mistakes.length > MAX_MISTAKES)
    mistakes.splice(MAX_MISTAKES, mistakes.length, `${mistakes.length - MAX_MISTAKES} more`);
  if (mistakes.length > 0) throw new ApiError("MODEL_INVALID", `the model's environment: ${mistakes.join("; ")}`);
  return {
    python: found.python,
    buildDependencies: found.buildDependencies,
    requirements,
    constraints,
    condaOnly: found.condaOnly,
  };
}

interface Found {
  readonly python: string | undefined;
  readonly buildDependencies: readonly string[];
  readonly dependencies: readonly string[];
  readonly condaOnly: readonly string[];
}

const NOTHING: Found = { python: undefined, buildDependencies: [], dependencies: [], condaOnly: [] };

function environmentNames(env: YamlValue | undefined): { conda: string; virtualenv: string } {
  const names = { conda: "conda.yaml", virtualenv: "python_env.yaml" };
  if (typeof env === "string") return { ...names, conda: env };
  const { conda, virtualenv } = isYamlMap(env) ? env : {};
  return {
    conda: typeof conda === "string" ? conda : names.conda,
    virtualenv: typeof virtualenv === "string" ? virtualenv : names.virtualenv,
  };
}

function fromPythonEnv(text: string, name: string, wrong: string[]): Found {
  const { python, build_dependencies, dependencies, ...other } = readMap(text, name, wrong);
  if (python !== undefined && python !== null && typeof python !== "string")
    wrong.push(`${name}: python must be a text, in quotes when it looks like a number`);
  for (const key of Object.keys(other)) wrong.push(`${name}: there is no entry ${key}`);
  return {
    python: typeof python === "string" && python !== "" ? python : undefined,
    buildDependencies: texts(build_dependencies, `${name}: build_dependencies`, wrong),
    dependencies: texts(dependencies, `${name}: dependencies`, wrong),
    condaOnly: [],
  };
}

function fromConda(text: string, name: string, wrong: string[]): Found {
  let python: string | undefined;
  let pip: readonly string[] = [];
  const buildDependencies: string[] = [];
  const condaOnly: string[] = [];
  const { dependencies } = readMap(text, name, wrong);
  for (const dependency of Array.isArray(dependencies) ? (dependencies as readonly YamlValue[]) : []) {
    if (typeof dependency !== "string") {
      const list = isYamlMap(dependency) ? dependency.pip : undefined;
      if (list === undefined) wrong.push(`${name}: a dependency must be a text or a map with the key pip`);
      else pip = texts(list, `${name}: pip`, wrong);
      continue;
    }
    const [, tool, operator = "", version = ""] =
      /^(python|pip|setuptools|wheel)(<=|>=|==|!=|[<>=])?([\d.]+)?\n?$/.exec(dependency) ?? [];
    if (tool === undefined) condaOnly.push(dependency);
    else if (tool !== "python" || python)
      buildDependencies.push(`${tool}${operator === "=" ? "==" : operator}${version}`);
    else if (["", "<", ">", "!="].includes(operator))
      wrong.push(`${name}: ${dependency} does not pin a Python release`);
    else python = version;
  }
  return { python, buildDependencies, dependencies: pip, condaOnly };
}

function readMap(text: string, name: string, wrong: string[]): YamlMap {
  const value = readYaml(text, name);
  if (isYamlMap(value)) return value;
  wrong.push(`${name} is no map of keys`);
  return {};
}

function texts(value: YamlValue | undefined, what: string, wrong: string[]): readonly string[] {
  if (value === undefined || value === null) return [];
  const items: readonly unknown[] = Array.isArray(value) ? value : [undefined];
  const found = items.filter((item) => typeof item === "string");
  if (found.length < items.length) wrong.push(`${what} must be a list of texts`);
  return found;
}

/** The lines that say something: comments gone, those that end in a backslash joined with the next. */
function requirementLines(lines: readonly string[]): string[] {
  const joined: string[] = [];
  let begun = "";
  for (const line of lines) {
    const trimmed = line.trim();
    const comment = trimmed.indexOf(" #");
    const said = comment < 0 ? trimmed : trimmed.slice(0, comment).trimEnd();
    begun += said.replace(/\\+$/, "");
    if (said.endsWith("\\")) continue;
    joined.push(begun);
    begun = "";
  }
  return [...joined, begun].filter((line) => line !== "" && !line.startsWith("#"));
}

function splitLines(text: string): string[] {
  return text.split(/\r\n?|\n/);
}

/** Whether a requirement is for MLflow: by name, or by where its source lies. */
function isMlflow(requirement: string): boolean {
  if (/^\s*mlflow(-skinny|-tracing)?\s*($|[[(<>=!~;@ ])/i.test(requirement)) return true;
  return /\/mlflow|mlflow@git/i.test(requirement.replaceAll(" ", ""));
}
