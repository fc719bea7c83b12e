// Every model that test/fixtures/mlflow records, of each release of MLflow, is read as that release reads it, and written
// back the same. test/conformance/mlflow/make_fixtures.py made them, and compares them with the newest release in CI.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../server/mlmodel/environment.ts";
import { readInputExample } from "../../server/mlmodel/input-example.ts";
import { asMlflowKeeps, readMlmodel, writeMlmodel } from "../../server/mlmodel/mlmodel-file.ts";
import { readSignature, writeSignature } from "../../server/mlmodel/signature/schema-json.ts";
import { signatureText } from "../../server/mlmodel/signature/schema-text.ts";
import type { SignatureJson } from "../../server/mlmodel/signature/task-signatures.ts";
import { isYamlMap } from "../../server/mlmodel/yaml/value.ts";
import { encodeData } from "../conformance/mlflow/data-cases.ts";
import { type Coded, coded, inOneOrder } from "./coded-yaml.ts";

interface Reading {
  /** What the release makes of the file when that is not the file itself. */
  yaml?: string;
  flavors: Coded;
  metadata: Coded;
  signature: SignatureJson | null;
  text: string | null;
}

interface Case extends Reading {
  name: string;
  mlmodel: string;
  refused?: string;
}

interface FolderReading extends Reading {
  environment: { python: string; build_dependencies: string[]; requirements: string[]; constraints: string[] };
  example?: unknown;
  params?: unknown;
}

const fixtures = new URL("../fixtures/mlflow/", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, fixtures), "utf8");
const releases = readdirSync(fixtures);

test("three releases are recorded, each with its origin", () => {
  expect(releases).toEqual(["2.22.5", "3.1.4", "3.17.2"]);
  for (const release of releases) expect(JSON.parse(read(`${release}/origin.json`)).mlflow).toBe(release);
});

describe.each(releases)("what MLflow %s wrote", (release) => {
  const readings: [string, FolderReading][] = Object.entries(JSON.parse(read(`${release}/readings.json`)));
  const signatures: Case[] = JSON.parse(read(`${release}/signatures.json`));
  const mlmodels: Case[] = JSON.parse(read(`${release}/mlmodels.json`));

  test("there are folders of every kind", () => {
    expect(readings.map(([name]) => name).sort()).toEqual(readdirSync(new URL(`${release}/models`, fixtures)).sort());
    expect(readings.length).toBeGreaterThanOrEqual(11);
    expect(signatures.length).toBeGreaterThan(35);
    expect(mlmodels.length).toBeGreaterThan(15);
  });

  test.each(readings)("%s: MLmodel", (name, reading) => {
    expectReading(read(`${release}/models/${name}/MLmodel`), reading);
  });

  test.each(readings)("%s: environment", (name, { environment }) => {
    const texts = textsOf(`${release}/models/${name}`);
    const { flavors } = readMlmodel(texts.get("MLmodel") ?? "");
    expect(readEnvironment(texts, flavors.python_function?.env)).toMatchObject({
      python: environment.python,
      buildDependencies: environment.build_dependencies,
      requirements: environment.requirements,
      constraints: environment.constraints,
    });
  });

  test.each(readings.filter(([, { example }]) => example !== undefined))("%s: input example", async (name, reading) => {
    const texts = textsOf(`${release}/models/${name}`);
    const { other, signature } = readMlmodel(texts.get("MLmodel") ?? "");
    const info = other.saved_input_example_info;
    if (!isYamlMap(info) || !signature) throw new Error(`${name} has no example`);
    const { data, params } = await readInputExample(info, async (path) => texts.get(path), readSignature(signature));
    expect(encodeData(data)).toEqual(reading.example);
    expect(params === undefined ? null : encodeData(params)).toEqual(reading.params);
  });

  test.each(mlmodels.map((item) => [item.name, item] as const))("MLmodel with %s", (_, { mlmodel, ...reading }) => {
    expectReading(mlmodel, reading);
  });

  test.each(signatures.map((item) => [item.name, item] as const))("signature: %s", (_, { mlmodel, ...reading }) => {
    if (reading.refused)
      expect(() => asMlflowKeeps(readMlmodel(mlmodel))).toThrow(expect.objectContaining({ reason: "MODEL_INVALID" }));
    else expectReading(mlmodel, reading);
  });

  function expectReading(text: string, { yaml = text, flavors, metadata, signature, text: words }: Reading) {
    const file = readMlmodel(text);
    expect(writeMlmodel(file)).toBe(text);
    expect(inOneOrder(coded(file.flavors))).toEqual(inOneOrder(flavors));
    expect(inOneOrder(coded(file.metadata ?? file.other.metadata ?? null))).toEqual(inOneOrder(metadata));
    // 2.x does not know of model ids.
    const kept = writeMlmodel(asMlflowKeeps(file));
    expect(release.startsWith("2.") ? kept.replace("model_id: null\n", "") : kept).toBe(yaml);
    if (signature === null) {
      expect(file.signature).toBeUndefined();
      return;
    }
    const found = readSignature(file.signature as SignatureJson);
    expect(writeSignature(found)).toEqual(signature);
    expect(signatureText(found)).toBe(words);
  }
});

describe("what the newest MLflow makes of the files of older releases", () => {
  const rereads: [string, string][] = Object.entries(JSON.parse(read("3.17.2/rereads.json")));

  test("both older releases are among them", () => {
    expect(new Set(rereads.map(([name]) => name.split("/")[0]))).toEqual(new Set(["2.22.5", "3.1.4"]));
  });

  test.each(rereads)("%s", (place, expected) => {
    const [release = "", part = "", ...name] = place.split("/");
    const text =
      part === "models"
        ? read(`${release}/models/${name.join("/")}/MLmodel`)
        : (JSON.parse(read(`${release}/${part}.json`)) as Case[]).find((item) => item.name === name.join("/"))?.mlmodel;
    expect(writeMlmodel(asMlflowKeeps(readMlmodel(text ?? "")))).toBe(expected);
  });
});

function textsOf(folder: string): Map<string, string> {
  const names = [
    "MLmodel",
    "conda.yaml",
    "python_env.yaml",
    "requirements.txt",
    "constraints.txt",
    "input_example.json",
  ];
  return new Map(
    names
      .filter((name) => existsSync(new URL(`${folder}/${name}`, fixtures)))
      .map((name) => [name, read(`${folder}/${name}`)]),
  );
}
