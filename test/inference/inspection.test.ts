// A folder is looked into without being kept: what is told of a good one, and everything that is wrong with a bad one.
import { readFileSync } from "node:fs";
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createInferenceHost, type InferenceHost } from "../../server/inference/host.ts";
import { failure } from "./failure.ts";
import { fixture, tinyPhi3, withFolder } from "./folders.ts";

const hosts: InferenceHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()));
});
const newHost = () => {
  const host = createInferenceHost();
  hosts.push(host);
  return host;
};
async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const event of events) list.push(event);
  return list;
}
const chat = (host: InferenceHost, content: string) =>
  host.generate({ model: "phi", messages: [{ role: "user", content }], options: {} }, new AbortController().signal);

describe("an inspection", () => {
  test("reports the facts of a folder and keeps nothing", async () => {
    const host = newHost();
    expect(await host.inspect(tinyPhi3)).toMatchObject({
      modelType: "phi3",
      contextLength: 2048,
      vocabSize: 2176,
      layers: 4,
      kvHeads: 4,
      headSize: 48,
      hasChatTemplate: true,
      cacheType: "float32",
      cacheBytesPerToken: 2 * 4 * 4 * 48 * 4,
      eosIds: [2144, 2145, 2151],
      warnings: [],
    });
    expect(host.models()).toEqual([]);
    expect(await host.stats()).toMatchObject({ models: [] });
  });

  test("tells everything that is wrong with a folder at once", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.edit("genai_config.json", (config) => {
        config.model.decoder.head_size = "sixteen";
        config.model.context_length = 0;
        config.model.decoder.filename = "../../secrets.onnx";
      });
      await folder.write("tokenizer.json", "{");
      await folder.write("chat_template.jinja", "{% if %}");
      const error = await failure(newHost().inspect(folder.path));
      expect(error.reason).toBe("MODEL_INVALID");
      expect(error.violations.map((violation) => violation.field)).toEqual([
        "model.context_length",
        "model.decoder.filename",
        "model.decoder.head_size",
        "tokenizer.json",
        "chat_template",
      ]);
    });
  });

  // biome-ignore lint/suspicious/noExplicitAny: reaches into JSON
  test.each<[string, (json: any) => void, string, string]>([
    [
      "another vocabulary",
      (c) => {
        c.model.vocab_size = 400;
      },
      "model.vocab_size",
      "384 logits",
    ],
    [
      "another head size",
      (c) => {
        c.model.decoder.head_size = 32;
      },
      "model.decoder.head_size",
      "has 16",
    ],
    [
      "too many layers",
      (c) => {
        c.model.decoder.num_hidden_layers = 3;
      },
      "model.decoder.inputs.past_key_names",
      "past_key_values.2.key",
    ],
    [
      "too few layers",
      (c) => {
        c.model.decoder.num_hidden_layers = 1;
      },
      "model.decoder.inputs",
      "past_key_values.1.key",
    ],
    [
      "another name of the logits",
      (c) => {
        c.model.decoder.outputs.logits = "scores";
      },
      "model.decoder.outputs.logits",
      '"scores"',
    ],
    [
      "a missing file",
      (c) => {
        c.model.decoder.filename = "other.onnx";
      },
      "model.decoder.filename",
      "other.onnx",
    ],
  ])("finds that the graph does not fit the configuration: %s", async (_, change, field, words) => {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.edit("genai_config.json", change);
      const error = await failure(newHost().inspect(folder.path));
      expect(error.reason).toBe("MODEL_INVALID");
      expect(error.violations.find((violation) => violation.field === field)?.description).toContain(words);
    });
  });

  test("finds a graph that is longer than protobuf can be, when it is inspected and when it is loaded", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      await truncate(join(folder.path, "model.onnx"), 2 ** 31); // the rest is a hole, which takes no disk
      const violations = [{ field: "model.onnx", description: expect.stringContaining("external data") }];
      const host = newHost();
      expect(await failure(host.inspect(folder.path))).toMatchObject({ reason: "MODEL_INVALID", violations });
      expect(await failure(host.load("phi", folder.path))).toMatchObject({ reason: "MODEL_INVALID", violations });
      expect(await failure(host.inspectRunner(folder.path))).toMatchObject({ reason: "MODEL_INVALID", violations });
    });
  });

  test("limits a model with two rotary tables to the first, and says so", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      const rope_scaling = { type: "longrope", long_factor: [], short_factor: [] };
      await folder.write("config.json", JSON.stringify({ original_max_position_embeddings: 100, rope_scaling }));
      const host = newHost();
      expect(await host.inspect(folder.path)).toMatchObject({
        contextLength: 100,
        warnings: [expect.stringContaining("100 of 256")],
      });
      expect(await host.load("phi", folder.path)).toMatchObject({ contextLength: 100 });
    });
  });

  test("says what ONNX Runtime says of a graph that is broken", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      const host = newHost();
      for (const [graph, words] of [
        [Buffer.from("this is no protobuf"), "protobuf is broken"],
        [readFileSync(fixture("plain/cyclic.onnx")), "ONNX Runtime refuses it"],
        [readFileSync(fixture("plain/recursive-function.onnx")), "64 deep"],
      ] as const) {
        await folder.write("model.onnx", graph);
        const error = await failure(host.inspect(folder.path));
        expect(error).toMatchObject({ reason: "MODEL_INVALID", violations: [{ field: "model.onnx" }] });
        expect(error.message).toContain(words);
      }
    });
  });

  test("takes a folder without a chat template, which then cannot be chatted with", async () => {
    await withFolder("tiny-fp32", async (folder) => {
      await folder.edit("tokenizer_config.json", (config) => {
        delete config.chat_template;
      });
      const host = newHost();
      expect(await host.inspect(folder.path)).toMatchObject({
        hasChatTemplate: false,
        warnings: [expect.stringContaining("no chat template")],
      });
      await host.load("phi", folder.path);
      expect((await failure(all(chat(host, "x")))).reason).toBe("TEMPLATE_MISSING");
    });
  });

  test("says that a folder is none", async () => {
    expect((await failure(newHost().inspect("/no/such/folder"))).violations.map((v) => v.field)).toEqual([
      "genai_config.json",
      "tokenizer.json",
    ]);
  });
});
