// What of an MLflow model can be served, and why the rest cannot.
import { expect, test } from "vitest";
import { readMlmodel } from "../../server/mlmodel/mlmodel-file.ts";
import { servableOf } from "../../server/mlmodel/servable.ts";

const of = (yaml: string, ...files: string[]) => servableOf(readMlmodel(`flavors:\n${yaml}`), ["MLmodel", ...files]);
const reason = (yaml: string, ...files: string[]) => {
  const found = of(yaml, ...files);
  return found.kind === "none" ? found.reason : `served: ${JSON.stringify(found)}`;
};

const WRAPPER = `  python_function:
    artifacts:
      snapshot:
        path: artifacts/phi
        uri: /home/me/phi
      notes:
        path: artifacts/notes.txt
        uri: notes.txt
    cloudpickle_version: 3.1.2
    loader_module: mlflow.pyfunc.model
    python_model: python_model.pkl
`;

test("an ONNX LLM that our flavor, a module's data, or an artifact of a wrapper with pickled code names", () => {
  const at = (folder: string) => ({ kind: "llm", folder });
  expect(of("  onnxruntime_genai:\n    data: model\n", "model/genai_config.json")).toEqual(at("model"));
  expect(
    of("  python_function:\n    data: data/phi/\n    loader_module: mine\n", "data/phi/genai_config.json"),
  ).toEqual(at("data/phi"));
  expect(of(WRAPPER, "artifacts/phi/genai_config.json", "artifacts/notes.txt", "python_model.pkl")).toEqual(
    at("artifacts/phi"),
  );
});

test.each(["model", ""])("an ONNX LLM folder at %j that nothing names", (folder) => {
  expect(of("  {}\n", `${folder}${folder && "/"}genai_config.json`)).toEqual({ kind: "llm", folder });
});

test("a graph of the onnx flavor, with the flavor's own entries", () => {
  const yaml = "  onnx:\n    data: net/model.onnx\n    providers: [CPUExecutionProvider]\n";
  expect(of(yaml, "net/model.onnx", "net/weights.bin")).toEqual({
    kind: "onnx",
    file: "net/model.onnx",
    flavor: expect.objectContaining({ providers: ["CPUExecutionProvider"] }),
  });
});

test("what is named comes before what only lies there", () => {
  const onnx = "  onnx:\n    data: model.onnx\n";
  expect(of(onnx, "model.onnx", "genai_config.json").kind).toBe("onnx");
  expect(of(`${onnx}${WRAPPER}`, "model.onnx", "artifacts/phi/genai_config.json").kind).toBe("llm");
});

test("every flavor says why it cannot be served", () => {
  expect(reason(`  transformers:\n    task: text-generation\n${WRAPPER}`, "artifacts/phi/config.json")).toBe(
    "transformers: PyTorch weights; python_function: mlflow.pyfunc.model with pickled code, which is never loaded here; none of its artifacts is an ONNX LLM folder",
  );
  expect(reason("  sklearn:\n    pickled_model: model.pkl\n  mine: {}\n")).toBe(
    "mine: is no flavor of ONNX, nor one that this server knows; sklearn: a pickled estimator",
  );
  expect(reason("  onnxruntime_genai:\n    data: model\n")).toContain(
    'its data "model" is no folder with a genai_config',
  );
  expect(reason("  onnx:\n    data: model.onnx\n")).toContain('its data "model.onnx" is no file of it');
  expect(reason("  {}\n")).toContain("names no flavor");
  expect(
    reason("  python_function:\n    loader_module: mlflow.pyfunc.loaders.code_model\n    model_code_path: x.py\n"),
  ).toContain("a model from code, which is never run here; it has no artifacts");
  expect(reason("  python_function:\n    loader_module: evil\n    code: code\n", "code/evil.py")).toContain(
    'the Python module "evil", which is never imported here',
  );
});

test("two ONNX LLM folders among the artifacts are one too many", () => {
  const yaml = WRAPPER.replace("artifacts/notes.txt", "artifacts/other");
  expect(reason(yaml, "artifacts/phi/genai_config.json", "artifacts/other/genai_config.json")).toContain(
    "2 of its artifacts are ONNX LLM folders, and only its code knows which one answers",
  );
  const same = WRAPPER.replace("artifacts/notes.txt", "artifacts/phi");
  expect(of(same, "artifacts/phi/genai_config.json").kind).toBe("llm");
});

const OUTSIDE = [
  "/etc",
  "..",
  "../..",
  "a/../..",
  "./a",
  "a//b",
  "C:/x",
  "C:x",
  "a\\\\..\\\\b",
  "file:///etc",
  "s3://b/x",
  "a\\0b",
  "",
];
test.each(OUTSIDE)("a path %j does not stay in the model's folder, wherever it stands", (path) => {
  // Even if such files were there.
  const files = ["/etc", "..", "../..", "genai", path].flatMap((folder) => [folder, `${folder}/genai_config.json`]);
  const quoted = `"${path}"`;
  for (const yaml of [
    `  onnxruntime_genai:\n    data: ${quoted}\n`,
    `  onnx:\n    data: ${quoted}\n`,
    `  python_function:\n    data: ${quoted}\n    loader_module: mine\n`,
    `  python_function:\n    loader_module: mlflow.pyfunc.model\n    artifacts:\n      a:\n        path: ${quoted}\n`,
  ])
    expect(reason(yaml, ...files)).toMatch(/does not stay in the model's folder|names no path/);
});

test.each(["[1]", "{a: b}", "5", "null", "true"])("a path that is %s is none", (value) => {
  expect(reason(`  onnx:\n    data: ${value}\n  onnxruntime_genai:\n    data: ${value}\n`)).toContain("names no path");
});

test("names of objects' own parts mean nothing", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"])
    expect(of(`  ${name}:\n    data: model\n`, "model/x").kind).toBe("none");
  expect(of("  onnx:\n    data: constructor\n").kind).toBe("none");
});

test("thousands of flavors, long names and many artifacts give a reason of a few lines", () => {
  const flavors = Array.from({ length: 2000 }, (_, i) => `  f${i}${"x".repeat(50)}: {}\n`).join("");
  const artifacts = Array.from({ length: 2000 }, (_, i) => `      a${i}:\n        path: ../${"y".repeat(500)}\n`).join(
    "",
  );
  const pyfunc = `  python_function:\n    loader_module: ${"z".repeat(9000)}\n    artifacts:\n${artifacts}`;
  expect(reason(flavors).length).toBeLessThan(5000);
  expect(reason(pyfunc).length).toBeLessThan(6000);
});
