// The environment files of a model, held to what MLflow reads in them (test/fixtures/mlflow/*/environments.json).
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { environmentFiles, ONNX_REQUIREMENTS, readEnvironment } from "../../server/mlmodel/environment.ts";

interface Case {
  name: string;
  files: Record<string, string>;
  read: {
    refused?: string;
    python: string;
    build_dependencies: string[];
    requirements: string[];
    constraints: string[];
  };
}

const fixtures = new URL("../fixtures/mlflow/3.17.2/", import.meta.url);
const cases: Case[] = JSON.parse(readFileSync(new URL("environments.json", fixtures), "utf8"));

describe("reading", () => {
  test.each(cases.map((item) => [item.name, item] as const))("%s: as MLflow 3.17.2", (_, { files, read }) => {
    const texts = new Map(Object.entries(files));
    if (read.refused) {
      expect(() => readEnvironment(texts)).toThrow(expect.objectContaining({ reason: "MODEL_INVALID" }));
      return;
    }
    expect(readEnvironment(texts)).toMatchObject({
      python: read.python,
      buildDependencies: read.build_dependencies,
      requirements: read.requirements,
      constraints: read.constraints,
    });
  });

  test("MLflow 1.x names its one file by a text, later releases by a map", () => {
    const texts = new Map([["mine.yaml", "dependencies:\n- python=3.7.1\n- libgomp\n"]]);
    expect(readEnvironment(texts, "mine.yaml")).toMatchObject({ python: "3.7.1", condaOnly: ["libgomp"] });
    expect(readEnvironment(texts, { conda: "mine.yaml", virtualenv: "none.yaml" }).python).toBe("3.7.1");
  });

  test("a model without any such file asks for nothing", () => {
    const nothing = { python: undefined, buildDependencies: [], requirements: [], constraints: [], condaOnly: [] };
    expect(readEnvironment(new Map())).toEqual(nothing);
  });

  test("everything that is wrong is told at once", () => {
    const conda = "dependencies:\n- python\n- 5\n- pip:\n  - 1\n  - -r none.txt\n";
    expect(() => readEnvironment(new Map([["conda.yaml", conda]]))).toThrow(
      /conda\.yaml: python does not pin.*; conda\.yaml: a dependency must be.*; conda\.yaml: pip must be a list of texts; -r none\.txt: the model has no such file/,
    );
  });

  test("of very many mistakes a hundred are told", () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `- -r ${i}.txt`).join("\n");
    expect(() => readEnvironment(new Map([["python_env.yaml", `dependencies:\n${lines}\n`]]))).toThrow(
      /more than 20 requirement files$/,
    );
    const odd = Array.from({ length: 1000 }, (_, i) => `k${i}: 1`).join("\n");
    expect(() => readEnvironment(new Map([["python_env.yaml", odd]]))).toThrow(/k99; 900 more$/);
  });

  test("files that name each other without end are refused", () => {
    const texts = new Map([
      ["python_env.yaml", "dependencies: [-r a.txt]"],
      ["a.txt", "-r a.txt\n-r a.txt\n"],
    ]);
    expect(() => readEnvironment(texts)).toThrow(/more than 20 requirement files/);
  });
});

describe("writing", () => {
  test("a plain ONNX model gets the requirements that MLflow infers for it, in its layout", () => {
    const folder = new URL("models/onnx_tensor/", fixtures);
    const files = environmentFiles({ requirements: ONNX_REQUIREMENTS });
    for (const name of ["requirements.txt", "conda.yaml", "python_env.yaml"]) {
      const recorded = readFileSync(new URL(name, folder), "utf8");
      const pythons = (text: string) => text.replace(/(python(=|: )|pip[<=]=)[\d.]+/g, "$1*");
      expect(pythons(files[name] ?? "")).toBe(pythons(recorded));
    }
  });

  test("constraints get a file of their own, which the requirements name", () => {
    const files = environmentFiles({ requirements: ["numpy"], constraints: ["numpy<3", "protobuf<8"] });
    expect(files["requirements.txt"]).toBe("mlflow==3.17.2\nnumpy\n-c constraints.txt");
    expect(files["constraints.txt"]).toBe("numpy<3\nprotobuf<8");
    expect(readEnvironment(new Map(Object.entries(files)))).toMatchObject({
      requirements: ["mlflow==3.17.2", "numpy"],
      constraints: ["numpy<3", "protobuf<8"],
    });
  });

  test.each([
    "mlflow",
    "MLflow>=2",
    "mlflow-skinny[x]==1",
    "mlflow-tracing>1",
    "mlflow @ git+https://x/mlflow",
    "git+https://x/mlflow",
    "mlflow; python_version<'4'",
  ])("%s is a requirement for MLflow: no other is added", (line) => {
    expect(environmentFiles({ requirements: ["six", line] })["requirements.txt"]).toBe(`six\n${line}`);
  });

  test.each(["mlflow-extra", "mlflow_skinny", "my-mlflow"])("%s is not", (line) => {
    expect(environmentFiles({ requirements: [line] })["requirements.txt"]).toBe(`mlflow==3.17.2\n${line}`);
  });
});
