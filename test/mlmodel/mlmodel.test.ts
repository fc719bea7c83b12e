// The MLmodel file, the signature, and the files around it. mlflow-3.17.2-chat.MLmodel was written by MLflow 3.17.2 when
// a transformers pipeline was logged with task llm/v1/chat on Python 3.11; only its working folder was renamed to /ws.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Data } from "../../server/mlmodel/data/data.ts";
import { inputExampleFiles } from "../../server/mlmodel/input-example.ts";
import { LOADER_MODULE, LOADER_SOURCE } from "../../server/mlmodel/loader/loader.ts";
import { asMlflowKeeps, readMlmodel, taskOf, writeMlmodel } from "../../server/mlmodel/mlmodel-file.ts";
import { type LlmFacts, llmModelFiles } from "../../server/mlmodel/model-files.ts";
import { chatSignature, schemaJson } from "../../server/mlmodel/signature/task-signatures.ts";

const recorded = readFileSync(new URL("mlflow-3.17.2-chat.MLmodel", import.meta.url), "utf8");

const model: LlmFacts = {
  identity: {
    modelId: "m-0123456789abcdef0123456789abcdef",
    artifactLocation: "/store/mlruns/123456789012345678/models/m-0123456789abcdef0123456789abcdef/artifacts",
    runId: "00000000000000000000000000000e12",
    createdAt: new Date("2026-11-21T10:00:00.250Z"),
    sizeBytes: 12345678901n,
  },
  task: "llm/v1/chat",
  signature: chatSignature(),
  example: inputExampleFiles(
    new Map<string, Data>([
      [
        "messages",
        [
          new Map([
            ["role", "user"],
            ["content", "What is the capital of Spain?"],
          ]),
        ],
      ],
      ["max_tokens", 64n],
    ]),
  ),
  modelType: "phi3",
  contextLength: 4096,
  metadata: { revision: "1e3", note: "yes" },
};

describe("a file that MLflow wrote", () => {
  test("tells its flavors, task and signature", () => {
    const file = readMlmodel(recorded);
    expect(Object.keys(file.flavors)).toEqual(["python_function", "transformers"]);
    expect(taskOf(file)).toBe("llm/v1/chat");
    expect(file.signature).toEqual(chatSignature());
    expect(file.other.run_id).toBe("cd9ce79088a14f1f9ba3252f3e2a5c54");
  });

  test("is written back to the byte, keys that nobody knows included", () => {
    const extended = `${recorded}zz_unknown:\n  a: '017'\n  b: 2\n`;
    expect(writeMlmodel(readMlmodel(recorded))).toBe(recorded);
    expect(writeMlmodel(readMlmodel(extended))).toBe(extended);
  });

  test("may hold nothing but flavors", () => {
    expect(readMlmodel("flavors:\n  python_function:\n    loader_module: x\n").signature).toBeUndefined();
  });

  test("is refused without flavors", () => {
    expect(() => readMlmodel("run_id: 5\n")).toThrow(/has no map `flavors`/);
    expect(() => readMlmodel("just text")).toThrow(/no map of keys/);
  });

  test("has ids as text that look like numbers to others", () => {
    const text = "flavors: {}\nmodel_size_bytes: 123456789012345678\nrun_id: 1234567890123456789012345678e123\n";
    const { other } = readMlmodel(text);
    expect(other).toEqual({ model_size_bytes: 123456789012345678n, run_id: "1234567890123456789012345678e123" });
    expect(writeMlmodel(readMlmodel(text))).toBe(text);
  });

  test("keeps what is not as MLflow writes it: odd flavors, a signature without params, dates, keys that are no text", () => {
    for (const text of [
      "flavors:\n  a: null\n  b:\n    c: 1\n  d: 5\n",
      "flavors: {}\nsignature:\n  inputs: '[]'\n  outputs: null\n",
      "flavors: {}\nsignature:\n  inputs: 5\n  more: x\n  outputs: null\n  params: null\n",
      "flavors: {}\nmetadata: null\nsignature: null\n",
      "flavors: {}\nmetadata:\n- a\nsignature: text\n",
      "flavors: {}\nmetadata:\n  at: 2024-01-01\n  size: 1.0\n  version: 3.10\n".replace("3.10", "3.1"),
      "flavors:\n  python_function:\n    config:\n      1: a\n      2.0: b\n",
      "flavors:\n  a: &id001\n    b: []\n  c: *id001\n",
    ])
      expect(writeMlmodel(readMlmodel(text)), text).toBe(text);
  });
});

describe("a file that MLflow 3.17.2 loads and saves", () => {
  const kept = (text: string) => writeMlmodel(asMlflowKeeps(readMlmodel(text)));

  test("is the same when that release wrote it", () => {
    expect(kept(recorded)).toBe(recorded);
  });

  test("gains the keys that are always there, and loses those that say nothing", () => {
    expect(
      kept(
        "_mine: 1\nartifact_path: null\nenv_vars: null\nflavors: {}\nmetadata: null\nmlflow_version: null\nmore: null\nrun_id: null\nsignature: null\nutc_time_created: 2024-05-17 23:15:28.5\n",
      ),
    ).toBe(
      "flavors: {}\nmodel_id: null\nmodel_uuid: null\nmore: null\nprompts: null\nutc_time_created: '2024-05-17 23:15:28.500000'\n",
    );
  });
});

describe("the chat signature", () => {
  test("is MLflow's own, to the byte", () => {
    const { inputs, outputs } = readMlmodel(recorded).signature!;
    expect(chatSignature()).toEqual({ inputs, outputs, params: null });
  });

  test("writes columns as Python's json does", () => {
    expect(schemaJson({ größe: "long", "o?": { b: "string", "a?": ["double"] } })).toBe(
      '[{"type": "long", "name": "gr\\u00f6\\u00dfe", "required": true}, {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "double"}, "required": false}, "b": {"type": "string", "required": true}}, "name": "o", "required": false}]',
    );
  });
});

describe("the files of an uploaded ONNX folder", () => {
  const files = llmModelFiles(model);

  test("are those that MLflow and its loader need", () => {
    expect(Object.keys(files).sort()).toEqual([
      "MLmodel",
      `code/${LOADER_MODULE}.py`,
      "conda.yaml",
      "input_example.json",
      "python_env.yaml",
      "requirements.txt",
      "serving_input_example.json",
    ]);
    expect(files["requirements.txt"]).toBe("mlflow==3.17.2\nonnxruntime-genai==0.18.0");
  });

  test("name the model, its place and its run, all as text", () => {
    const { other, metadata, flavors } = readMlmodel(files.MLmodel!);
    expect(other.model_id).toBe(model.identity.modelId);
    expect(other.model_uuid).toBe(model.identity.modelId);
    expect(other.artifact_path).toBe(model.identity.artifactLocation);
    expect(other.run_id).toBe(model.identity.runId);
    expect(other.utc_time_created).toBe("2026-11-21 10:00:00.250000");
    expect(other.model_size_bytes).toBe(12345678901);
    expect(metadata).toEqual({ revision: "1e3", note: "yes", task: "llm/v1/chat" });
    expect(flavors.onnxruntime_genai).toMatchObject({ data: "model", context_length: 4096, model_type: "phi3" });
  });

  test("a time without milliseconds has no fraction, as in Python", () => {
    const { MLmodel } = llmModelFiles({
      ...model,
      identity: { ...model.identity, createdAt: new Date("2026-11-21T10:00:00Z") },
    });
    expect(readMlmodel(MLmodel!).other.utc_time_created).toBe("2026-11-21 10:00:00");
  });
});

describe("the Python loader", () => {
  const folder = fileURLToPath(new URL("../../server/mlmodel/loader/", import.meta.url));

  test("is embedded as it stands, under a name that carries its digest", () => {
    const source = readFileSync(join(folder, "modelwire_genai.py"), "utf8");
    expect(LOADER_SOURCE).toBe(source);
    expect(LOADER_MODULE).toBe(`modelwire_genai_${createHash("sha256").update(source).digest("hex").slice(0, 12)}`);
  });

  test("embedding it again changes nothing", () => {
    const copy = mkdtempSync(join(tmpdir(), "loader-"));
    try {
      for (const name of ["modelwire_genai.py", "embed.mjs"]) copyFileSync(join(folder, name), join(copy, name));
      execFileSync(process.execPath, [join(copy, "embed.mjs")]);
      expect(readFileSync(join(copy, "loader.ts"), "utf8")).toBe(readFileSync(join(folder, "loader.ts"), "utf8"));
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
