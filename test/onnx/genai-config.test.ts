import { describe, expect, test } from "vitest";
import { ModelFolderError } from "../../server/onnx/errors.ts";
import { parseGenaiConfig } from "../../server/onnx/genai-config.ts";

// biome-ignore lint/suspicious/noExplicitAny: the tests break JSON in every place
type Json = Record<string, any>;

// The configuration that was published with Phi-3-mini-4k for CPU (onnxruntime-genai 0.2 to 0.4), shortened by nothing that is read.
const published = () => ({
  model: {
    bos_token_id: 1,
    context_length: 4096,
    eos_token_id: [32000, 32001, 32007] as number | number[],
    pad_token_id: 32000,
    type: "phi3",
    vocab_size: 32064,
    decoder: {
      session_options: { log_id: "onnxruntime-genai", provider_options: [] as object[] } as Record<string, unknown>,
      filename: "phi3-mini-4k-instruct-cpu-int4-rtn-block-32-acc-level-4.onnx",
      head_size: 96,
      hidden_size: 3072,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      inputs: {
        input_ids: "input_ids",
        attention_mask: "attention_mask",
        past_key_names: "past_key_values.%d.key",
        past_value_names: "past_key_values.%d.value",
      } as Record<string, string>,
      outputs: {
        logits: "logits",
        present_key_names: "present.%d.key",
        present_value_names: "present.%d.value",
      } as Record<string, string>,
    } as Json,
  } as Json,
  search: {
    diversity_penalty: 0.0,
    do_sample: false,
    early_stopping: true,
    length_penalty: 1.0,
    max_length: 4096,
    min_length: 0,
    no_repeat_ngram_size: 0,
    num_beams: 1,
    num_return_sequences: 1,
    past_present_share_buffer: true,
    repetition_penalty: 1.0,
    temperature: 1.0,
    top_k: 1,
    top_p: 1.0,
  } as Record<string, unknown>,
});

const parse = (change: (config: ReturnType<typeof published>) => void = () => {}) => {
  const config = published();
  change(config);
  return parseGenaiConfig(JSON.stringify(config));
};
const refused = (change: ((config: ReturnType<typeof published>) => void) | string) => {
  try {
    if (typeof change === "string") parseGenaiConfig(change);
    else parse(change);
  } catch (error) {
    if (error instanceof ModelFolderError)
      return error.violations.map(({ field, description }) => `${field} ${description}`);
    throw error;
  }
  return [];
};

describe("genai_config.json", () => {
  test("as it was published is read whole", () => {
    const { config, warnings } = parse();
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      type: "phi3",
      vocabSize: 32064,
      contextLength: 4096,
      bosId: 1,
      padId: 32000,
      eosIds: [32000, 32001, 32007],
      tokenizerFolder: "",
      decoder: {
        layers: 32,
        kvHeads: 32,
        headSize: 96,
        inputs: { inputIds: "input_ids", positionIds: "position_ids", pastKeys: "past_key_values.%d.key" },
        session: { intraOpThreads: undefined, entries: {} },
      },
      search: { doSample: false, temperature: 1, topK: 1, topP: 1, maxLength: 4096 },
    });
  });

  test("may name one ending id, several, or none, which means the pad id", () => {
    expect(
      parse((c) => {
        c.model.eos_token_id = 32007;
      }).config.eosIds,
    ).toEqual([32007]);
    expect(
      parse((c) => {
        c.model.eos_token_id = [];
      }).config.eosIds,
    ).toEqual([32000]);
    expect(
      parse((c) => {
        delete c.model.eos_token_id;
      }).config.eosIds,
    ).toEqual([32000]);
  });

  test("may leave names and search out: genai's defaults hold", () => {
    const { config } = parseGenaiConfig(
      JSON.stringify({
        model: {
          context_length: 99,
          vocab_size: 10,
          decoder: { filename: "m.onnx", head_size: 8, num_hidden_layers: 1, num_key_value_heads: 1 },
        },
      }),
    );
    expect(config.decoder.outputs).toEqual({
      logits: "logits",
      presentKeys: "present.%d.key",
      presentValues: "present.%d.value",
    });
    expect(config.search).toEqual({
      doSample: false,
      temperature: 1,
      topK: 50,
      topP: 0,
      repetitionPenalty: 1,
      maxLength: 99,
    });
    expect(config).toMatchObject({ eosIds: [0], bosId: undefined, type: "" });
  });

  test("gives the session its options, strings as configuration entries", () => {
    const { config, warnings } = parse((c) => {
      Object.assign(c.model.decoder.session_options, {
        intra_op_num_threads: 4,
        enable_cpu_mem_arena: false,
        graph_optimization_level: "ORT_ENABLE_BASIC",
        "session.intra_op.allow_spinning": "1",
        use_env_allocators: 7,
        provider_options: [{ cuda: { device_id: "0" } }],
      });
    });
    expect(config.decoder.session).toEqual({
      intraOpThreads: 4,
      interOpThreads: undefined,
      memoryArena: false,
      memoryPattern: undefined,
      graphOptimization: 1,
      entries: { "session.intra_op.allow_spinning": "1" },
    });
    expect(warnings.join()).toContain("cuda is ignored");
    expect(warnings.join()).toContain("use_env_allocators");
  });

  test("lets a folder set no entry that names files or libraries, and no more threads than can be", () => {
    const hostile = {
      "session.model_external_initializers_file_folder_path": "/etc",
      "ep.context_file_path": "/tmp/x",
    };
    const { config, warnings } = parse((c) => Object.assign(c.model.decoder.session_options, hostile));
    expect(config.decoder.session.entries).toEqual({});
    for (const key of Object.keys(hostile)) expect(warnings.join()).toContain(key);
    const fields = refused((c) => Object.assign(c.model.decoder.session_options, { intra_op_num_threads: 1e6 }));
    expect(JSON.stringify(fields)).toContain("intra_op_num_threads");
  });

  test("takes unknown keys of older and newer versions", () => {
    expect(
      refused((c) => {
        c.model.mystery = 1;
        Object.assign(c, { speculative: {}, engine: {} });
      }),
    ).toEqual([]);
  });

  test("warns of search options that are not applied", () => {
    const { warnings } = parse((c) => Object.assign(c.search, { no_repeat_ngram_size: 3, num_beams: 4 }));
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("search.no_repeat_ngram_size");
  });

  test("that is no JSON object is told so", () => {
    expect(refused("{,}")[0]).toMatch(/^genai_config.json is not JSON/);
    expect(refused("[1]")[0]).toMatch(/must hold a JSON object/);
    expect(refused("{}")[0]).toMatch(/^model is missing/);
  });

  test("is told every mistake with its path", () => {
    expect(
      refused((c) => {
        c.model.context_length = "many";
        c.model.vocab_size = 10;
        delete c.model.decoder.head_size;
        c.model.decoder.num_hidden_layers = 1.5;
        c.model.decoder.inputs.past_key_names = "past.key";
        c.search.top_p = 2;
      }),
    ).toEqual([
      'model.context_length must be an integer of at least 1; found "many".',
      "model.eos_token_id must be token ids from 0 to 9; found [32000,32001,32007].",
      "model.decoder.num_hidden_layers must be an integer of at least 1; found 1.5.",
      "model.decoder.head_size is missing; it must be an integer of at least 1.",
      'model.decoder.inputs.past_key_names must hold %d once, for the layer: "past.key".',
      "search.top_p must be a number from 0 to 1; found 2.",
    ]);
  });

  test.each([
    "../model.onnx",
    "/etc/model.onnx",
    "a/../../b.onnx",
    "C:\\model.onnx",
    "\\\\host\\m.onnx",
    "..\\m.onnx",
    "a\0b",
  ])("must not name a file outside the folder: %j", (filename) => {
    expect(
      refused((c) => {
        c.model.decoder.filename = filename;
      })[0],
    ).toContain("model.decoder.filename must be a relative path");
  });

  test.each<[string, (decoder: Json, model: Json) => void]>([
    [
      "model.decoder.pipeline",
      (d) => {
        d.pipeline = [{}];
      },
    ],
    [
      "model.vision",
      (_, m) => {
        m.vision = {};
      },
    ],
    [
      "model.encoder",
      (_, m) => {
        m.encoder = {};
      },
    ],
    [
      "model.decoder.layer_types",
      (d) => {
        d.layer_types = ["conv"];
      },
    ],
    [
      "model.decoder.inputs.past_names",
      (d) => {
        d.inputs.past_names = "past_%d";
      },
    ],
    [
      "model.decoder.session_options.custom_ops_library",
      (d) => {
        d.session_options.custom_ops_library = "x.so";
      },
    ],
    [
      "model.decoder.sliding_window.slide_key_value_cache",
      (d) => {
        d.sliding_window = { window_size: 512 };
      },
    ],
  ])("of a model that cannot be served says why: %s", (field, change) => {
    const [told] = refused((c) => change(c.model.decoder, c.model));
    expect(told).toMatch(new RegExp(`^${field.replaceAll(".", "\\.")} .{20,}`));
  });
});
