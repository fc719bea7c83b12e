// The files that tell Python which environment a model wants: requirements.txt, conda.yaml, python_env.yaml, in MLflow's
// layout.
import { writeYaml } from "./yaml-write.ts";

/** The Python release that the environment files name: the newest that MLflow 3.17.2 and the loader were run with. */
export const PYTHON_VERSION = "3.11.9";

/** What such a Python ships. */
const BUILD_DEPENDENCIES = ["pip==24.0", "setuptools==65.5.0", "wheel"];

export const MLFLOW_VERSION = "3.17.2";
export const GENAI_VERSION = "0.18.0";

const REQUIREMENTS = [`mlflow==${MLFLOW_VERSION}`, `onnxruntime-genai==${GENAI_VERSION}`];

/** File name to text. */
export function environmentFiles(): Readonly<Record<string, string>> {
  return {
    "requirements.txt": REQUIREMENTS.join("\n"),
    "conda.yaml": writeYaml({
      channels: ["conda-forge"],
      dependencies: [`python=${PYTHON_VERSION}`, "pip<=24.0", { pip: REQUIREMENTS }],
      name: "mlflow-env",
    }),
    "python_env.yaml": writeYaml(
      { python: PYTHON_VERSION, build_dependencies: BUILD_DEPENDENCIES, dependencies: ["-r requirements.txt"] },
      { sortKeys: false },
    ),
  };
}
