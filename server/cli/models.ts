// `modelwire models …`: what a server has, and what it holds in memory. It must never know how any of it is stored.
import { createInterface } from "node:readline/promises";
import type { LoadedModel, Model, ModelwireClient } from "@modelwire/client";
import { ModelStatus } from "@modelwire/client";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { behind, parseFlags } from "./flags.ts";
import { fileRows, inspectionText, loadedText, modelDetails, modelRows, toJson } from "./model-views.ts";
import { ProgressBar } from "./progress-bar.ts";
import { count, printable, size, table } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  json: { type: "boolean" },
  name: { type: "string" },
  nodes: { type: "boolean" },
  yes: { type: "boolean", short: "y" },
} as const;

/** A word behind `models`: what else it needs, and what it does. */
interface Action {
  needs: readonly string[];
  run(client: ModelwireClient, words: readonly string[], flags: ActionFlags, io: Io): Promise<void>;
}

interface ActionFlags {
  json?: boolean;
  name?: string;
  nodes?: boolean;
  yes?: boolean;
}

export const command: Command = {
  summary: "list, show, inspect, download, delete, load and unload models",
  help: `Usage: modelwire models list [--name <name>] [--json]
       modelwire models show <model> [--json]
       modelwire models files <model> [--json]
       modelwire models inspect <model> [--nodes] [--json]
       modelwire models download <model> <folder>
       modelwire models delete <model> [--yes]
       modelwire models load <model>
       modelwire models unload <model>
       modelwire models loaded [--json]

inspect says which nodes of a model's graph run on the native operators, which on ONNX Runtime's, and why.

A model is an id ("m-…"), its URI ("models:/m-…"), or a name, which means the newest READY model of that name. With
--yes, delete does not take a name, since it may mean another model a moment later.

Flags:
  --json                  JSON instead of a table
  --name <name>           list only models of this name
  --nodes                 every node by its name
  --yes                   delete without asking

${CONNECT_HELP}

Example: modelwire models download tiny-phi3 ./copy
`,
  async run(args, io) {
    const [word = "", ...rest] = args;
    const action = behind("models", word, ACTIONS);
    const { values, positionals } = parseFlags(rest, FLAGS, action.needs);
    using client = await connect(values, io);
    await action.run(client, positionals, values, io);
    return 0;
  },
};

const ACTIONS: Record<string, Action> = {
  list: {
    needs: [],
    async run(client, _, { json, name }, io) {
      const models: Model[] = [];
      for await (const model of client.models.searchAll({ name }, { signal: io.signal })) models.push(model);
      if (json) io.stdout.write(toJson("models", models));
      else if (models.length === 0)
        io.stdout.write("no models yet; log one with: modelwire log <folder> --name <name>\n");
      else io.stdout.write(table(modelRows(models)));
    },
  },
  show: {
    needs: ["<model>"],
    async run(client, [name = ""], { json }, { stdout, signal }) {
      const { model } = await client.models.getModel({ model: name }, { signal });
      if (!model) return;
      if (json) {
        stdout.write(toJson("model", model));
        return;
      }
      const id = { model: model.modelId };
      const ready = model.status === ModelStatus.READY;
      const files = ready ? (await client.models.listArtifacts(id, { signal })).files : [];
      const text = ready && model.signature && (await client.signatures.getSignature(id, { signal })).signature?.text;
      stdout.write(modelDetails(model, files, text || undefined));
    },
  },
  inspect: {
    needs: ["<model>"],
    async run(client, [name = ""], { json, nodes = false }, { stdout, signal }) {
      const found = await client.serving.inspectModel({ model: name }, { signal });
      stdout.write(json ? toJson("inspection", found) : inspectionText(found, nodes));
    },
  },
  files: {
    needs: ["<model>"],
    async run(client, [name = ""], { json }, { stdout, signal }) {
      const { files } = await client.models.listArtifacts({ model: name }, { signal });
      stdout.write(json ? toJson("files", files) : table(fileRows(files)));
    },
  },
  download: {
    needs: ["<model>", "<folder>"],
    async run(client, [name = "", folder = ""], _, { stdout, stderr, signal }) {
      const bar = new ProgressBar(stderr, "downloading");
      try {
        const { modelId, files } = await client.models.download(name, folder, {
          signal,
          onProgress: ({ bytesReceived, bytesTotal, path }) => bar.update(bytesReceived, bytesTotal, path),
        });
        bar.clear();
        const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
        const kept = files.filter((file) => file.how === "kept").length;
        const were = kept > 0 ? ` (${kept} of them there already)` : "";
        stdout.write(
          `${modelId} is in ${folder}: ${count(files.length, "file")}, ${size(bytes)}${were}, ${bar.took}\n`,
        );
      } catch (error) {
        bar.clear();
        throw error;
      }
    },
  },
  delete: {
    needs: ["<model>"],
    async run(client, [name = ""], { yes }, io) {
      const { model } = await client.models.getModel({ model: name }, { signal: io.signal });
      // Whoever was asked has seen the id, so that one is meant. Unasked, a name is for the server to refuse.
      const target = yes ? name : (model?.modelId ?? name);
      if (!yes && !(await agreed(`delete ${printable(model?.name ?? "")} (${target})?`, io))) {
        io.stdout.write("nothing was deleted\n");
        return;
      }
      await client.models.deleteModel({ model: target }, { signal: io.signal });
      io.stdout.write(`deleted ${model?.modelId}\n`);
    },
  },
  load: {
    needs: ["<model>"],
    async run(client, [name = ""], _, { stdout, stderr, signal }) {
      const bar = new ProgressBar(stderr, "packing weights");
      let loaded: LoadedModel | undefined;
      try {
        for await (const { event } of client.serving.streamLoadModel({ model: name }, { signal })) {
          if (event.case === "packing") bar.update(Number(event.value.bytesDone), Number(event.value.bytesTotal), "");
          if (event.case === "model") loaded = event.value;
        }
      } finally {
        bar.clear();
      }
      if (loaded) stdout.write(loadedText([loaded]));
    },
  },
  unload: {
    needs: ["<model>"],
    async run(client, [name = ""], _, { stdout, signal }) {
      await client.serving.unloadModel({ model: name }, { signal });
      stdout.write(`unloaded ${printable(name)}\n`);
    },
  },
  loaded: {
    needs: [],
    async run(client, _, { json }, { stdout, signal }) {
      const { models } = await client.serving.listLoadedModels({}, { signal });
      if (json) stdout.write(toJson("loaded", models));
      else stdout.write(models.length === 0 ? "no model is loaded; the first chat loads one\n" : loadedText(models));
    },
  },
};

/** @throws UsageError where nobody can be asked. */
async function agreed(question: string, io: Io): Promise<boolean> {
  if (!io.stdin.isTTY) throw new UsageError("nobody is there to be asked", "pass --yes to delete without asking");
  const lines = createInterface({ input: io.stdin, output: io.stdout });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal: io.signal })).trim());
  } finally {
    lines.close();
  }
}
