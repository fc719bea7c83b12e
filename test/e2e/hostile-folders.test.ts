// MLflow folders that are made to do harm: each is refused or kept as mere bytes, with a precise reason; nothing of them is
// run, nothing outside of the store is read or written, and time and memory are bounded.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ApiError, ModelStatus } from "@modelwire/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Service, startService, temporaryFolder } from "./service.ts";

/** What a refusal may take on a busy machine; without bounds these inputs take minutes, or all memory. */
const SOON_MS = 20_000;

let service: Service;
let folder: string;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function log(files: Record<string, string>) {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return await service.client.models.log(folder, { name: "m" });
}

async function errorOf(call: Promise<unknown>): Promise<ApiError> {
  return await call.then(
    () => expect.fail("it was not refused"),
    (error) => error,
  );
}

/** Kept, and not to be served: the reason. */
async function keptButNotServed(files: Record<string, string>): Promise<string> {
  const { model, warnings } = await log(files);
  expect(model?.status).toBe(ModelStatus.READY);
  const error = await errorOf(service.client.serving.loadModel({ model: model?.modelId }));
  expect(error).toMatchObject({ reason: "MODEL_NOT_SERVABLE" });
  expect(warnings.join("\n")).toContain("cannot be served here");
  return error.message;
}

test("what is wrong with an ONNX LLM inside a model is told without where the server keeps it", async () => {
  const { warnings } = await log({
    MLmodel:
      "flavors:\n  python_function:\n    loader_module: x\n    artifacts:\n      llm:\n        path: artifacts/llm\n",
    "artifacts/llm/genai_config.json": '{"model": {"type": "phi3"}}',
  });
  expect(warnings.join("\n")).toContain("model.context_length: is missing");
  expect(warnings.join("\n")).not.toContain("staging");
});

describe("code in a model", () => {
  const evil = (marker: string) => `import pathlib\npathlib.Path(${JSON.stringify(marker)}).write_text("run")\n`;

  test.each([
    ["a module", "loader_module: evil\n    code: code", /the Python module "evil", which is never imported here/],
    [
      "pickled code",
      "loader_module: mlflow.pyfunc.model\n    code: code\n    python_model: python_model.pkl",
      /pickled code, which is never loaded here/,
    ],
    [
      "a model from code",
      "loader_module: mlflow.pyfunc.loaders.code_model\n    code: code\n    model_code_path: code/evil.py",
      /a model from code, which is never run here/,
    ],
  ])("as %s is kept and never run", async (_, entries, words) => {
    const marker = join(folder, "..", `marker-${process.pid}`);
    const reason = await keptButNotServed({
      MLmodel: `flavors:\n  python_function:\n    ${entries}\n`,
      "code/evil.py": evil(marker),
      "code/sitecustomize.py": evil(marker),
      // A pickle that opens the marker for writing.
      "python_model.pkl": `cbuiltins\nopen\n(S'${marker}'\nS'w'\ntR.`,
    });
    expect(reason).toMatch(words);
    expect(existsSync(marker)).toBe(false);
  });
});

describe("paths in an MLmodel file", () => {
  test.each([
    ["data of a module", "python_function:\n    loader_module: x\n    data: /etc"],
    ["data of a module", "python_function:\n    loader_module: x\n    data: ../.."],
    ["data of our flavor", "onnxruntime_genai:\n    data: ../../../../.."],
    ["a graph", "onnx:\n    data: ../../../../../../etc/passwd"],
    ["a graph", "onnx:\n    data: C:\\Windows\\win.ini"],
    [
      "an artifact",
      "python_function:\n    loader_module: x\n    artifacts:\n      a:\n        path: /etc\n        uri: file:///etc",
    ],
  ])("%s that leaves the folder is not followed: %j", async (_, flavor) => {
    expect(await keptButNotServed({ MLmodel: `flavors:\n  ${flavor}\n` })).toContain(
      "does not stay in the model's folder",
    );
  });

  test("pickled_model outside of the folder is never looked at", async () => {
    const MLmodel = "flavors:\n  sklearn:\n    pickled_model: ../outside/evil.pkl\n";
    expect(await keptButNotServed({ MLmodel })).toContain("sklearn: a pickled estimator");
  });

  test("artifact_path says afterwards where the model lies, whatever it said", async () => {
    const { model } = await log({ MLmodel: "artifact_path: ../..\nflavors: {}\nmodel_uuid: ../x\n" });
    const text = await readFile(join(model?.artifactLocation ?? "", "MLmodel"), "utf8");
    expect(text).toContain(`artifact_path: ${model?.artifactLocation}`);
    expect(text).not.toContain("..");
  });

  test("an input example outside of the folder is in no answer", async () => {
    const secret = join(service.store, "secret.json");
    await writeFile(secret, '{"secret": "7e5b1f"}');
    const info = "  artifact_path: ../../../../../secret.json\n  type: json_object\n";
    const logged = await log({ MLmodel: `flavors: {}\nsaved_input_example_info:\n${info}` });
    const { model } = await service.client.models.getModel({ model: logged.model?.modelId });
    const seen = JSON.stringify([logged, model], (_, value) => (typeof value === "bigint" ? String(value) : value));
    expect(seen).not.toContain("7e5b1f");
    const download = service.client.models.downloadArtifact({
      model: model?.modelId,
      path: "../../../../../secret.json",
    });
    await expect(download[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: "ARTIFACT_NOT_FOUND" });
  });
});

describe("more than anybody needs", () => {
  const aliases = (levels: number) =>
    Array.from(
      { length: levels },
      (_, i) =>
        `a${i}: &a${i} [${Array(10)
          .fill(i === 0 ? "x" : `*a${i - 1}`)
          .join(", ")}]\n`,
    ).join("");

  const wrong: [string, string][] = [
    ["aliases that unfold into billions", `${aliases(12)}flavors: {}\n`],
    ["an alias of itself", "a: &a [*a]\nflavors: {}\n"],
    ["lists within lists", `flavors: {}\nx: ${"[".repeat(100_000)}${"]".repeat(100_000)}\n`],
    ["maps within maps", `flavors: {}\nx: ${"{a: ".repeat(50_000)}1${"}".repeat(50_000)}\n`],
    ["a file of 17 MB", `flavors: {}\nx: ${"y".repeat(17 << 20)}\n`],
    ["a million keys", `flavors:\n${Array.from({ length: 1_000_000 }, (_, i) => `  k${i}: {}\n`).join("")}`],
    [
      "a signature of deep JSON",
      `flavors: {}\nsignature:\n  inputs: '${"[".repeat(200_000)}'\n  outputs: null\n  params: null\n`,
    ],
    [
      "a signature of types within types",
      `flavors: {}\nsignature:\n  inputs: '[${'{"type":"array","items":'.repeat(20_000)}{"type":"string"}${"}".repeat(20_000)}]'\n`,
    ],
    ["a tag that makes objects", "flavors: {}\nx: !!python/object/apply:os.system ['touch /tmp/x']\n"],
  ];
  test.each(wrong)("%s is MODEL_INVALID, soon", { timeout: SOON_MS * 2 }, async (_, MLmodel) => {
    const started = performance.now();
    const error = await errorOf(log({ MLmodel }));
    expect(error).toMatchObject({ reason: "MODEL_INVALID" });
    expect(error.message.length).toBeLessThan(1000);
    expect(performance.now() - started).toBeLessThan(SOON_MS);
  });

  test("a signature of 100,000 columns is taken or refused, soon", { timeout: SOON_MS * 2 }, async () => {
    const columns = Array.from({ length: 100_000 }, (_, i) => ({ type: "double", name: `c${i}`, required: true }));
    const MLmodel = `flavors: {}\nsignature:\n  inputs: '${JSON.stringify(columns)}'\n  outputs: null\n  params: null\n`;
    const started = performance.now();
    await log({ MLmodel }).catch((error: ApiError) => expect(error.reason).toBe("MODEL_INVALID"));
    expect(performance.now() - started).toBeLessThan(SOON_MS);
    expect((await service.client.models.searchModels({})).models.length).toBeGreaterThan(0);
  });
});

test("a tag that MLflow takes for a prompt's skips no check", async () => {
  const error = await errorOf(
    service.client.models.logModel(
      (async function* () {
        yield {
          message: { case: "header", value: { name: "m", tags: { "mlflow.prompt.is_prompt": "true" } } },
        } as const;
        yield { message: { case: "fileStart", value: { path: "../../evil" } } } as const;
      })(),
    ),
  );
  expect(error).toMatchObject({ reason: "INVALID_PATH" });
});

test("what is on its way can be seen by the server's user alone", async () => {
  for (const name of await readdir(join(service.store, "mlruns")))
    if (name.startsWith(".")) expect((await stat(join(service.store, "mlruns", name))).mode & 0o777, name).toBe(0o700);
});
