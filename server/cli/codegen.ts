// `modelwire codegen`: types for one model, from its signature, in a file of their own. It must never know how they are
// written.
import { readFile, writeFile } from "node:fs/promises";
import type { ModelwireClient } from "@modelwire/client";
import { ApiError } from "@modelwire/client";
import { isTypeName, typeNameOf } from "../codegen/model-source.ts";
import { protoFile } from "../codegen/proto-file.ts";
import { typescriptModule } from "../codegen/typescript.ts";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { parseFlags } from "./flags.ts";
import { printable } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  out: { type: "string", short: "o" },
  proto: { type: "string" },
  name: { type: "string" },
  check: { type: "boolean" },
} as const;

export const command: Command = {
  summary: "write a typed client for a model, from its signature",
  help: `Usage: modelwire codegen <model> --out <file.ts> [--proto <file.proto>] [flags]

Asks the server for the model's signature and writes a TypeScript module with the types of its inputs, outputs and
parameters, and a function that asks it: a missing or misspelt column does not compile. The .proto file is for other
languages; its JSON is the body of MLflow's scoring server. The same signature gives the same bytes.

A model is an id ("m-…"), its URI ("models:/m-…"), or a name. What is given here is what the module asks: an id is one
model for ever, a name means the newest READY model of that name.

Flags:
  --out <file.ts>         where the TypeScript module goes
  --proto <file.proto>    where the .proto file goes; one of the two must be given
  --name <Name>           what the types are called [from the model's name]
  --check                 write nothing; exit with 1 when a file is not what would be written

${CONNECT_HELP}

Example: modelwire codegen iris --out iris.ts --name Iris
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<model>"]);
    const [model = ""] = positionals;
    const { out, proto, name, check = false } = values;
    if (out === undefined && proto === undefined)
      throw new UsageError("--out is missing", `such as: modelwire codegen ${model} --out ${model}.ts`);
    if (name !== undefined && !isTypeName(name))
      throw new UsageError(
        `--name takes a capital letter and at most 29 letters and digits behind it, not "${name}"`,
        `did you mean --name ${typeNameOf(name)}?`,
      );
    using client = await connect(values, io);
    const source = await sourceOf(client, model, name, io);
    const files = [
      ...(out === undefined ? [] : [{ path: out, text: typescriptModule(source) }]),
      ...(proto === undefined ? [] : [{ path: proto, text: protoFile(source) }]),
    ];
    if (check) return await compare(files, model, io);
    for (const { path, text } of files) {
      await writeFile(path, text);
      io.stdout.write(`wrote ${path}\n`);
    }
    return 0;
  },
};

interface GeneratedFile {
  path: string;
  text: string;
}

async function sourceOf(client: ModelwireClient, model: string, name: string | undefined, { signal }: Io) {
  const { modelId, signature } = await client.signatures.getSignature({ model }, { signal });
  if (!signature) throw new ApiError("SIGNATURE_MISSING", `model ${modelId} has no signature`);
  const byName = ![modelId, `models:/${modelId}`].includes(model);
  const uri = byName ? model : `models:/${modelId}`;
  const called = async () =>
    byName ? model : ((await client.models.getModel({ model }, { signal })).model?.name ?? "");
  return { uri, signature, name: name ?? typeNameOf(await called()) };
}

/** @returns 1 when a file is missing or another. */
async function compare(files: readonly GeneratedFile[], model: string, io: Io): Promise<number> {
  const stale: string[] = [];
  for (const { path, text } of files) {
    const found = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (found !== text) stale.push(path);
  }
  for (const path of stale) io.stderr.write(`${path} is not what the signature of ${printable(model)} gives\n`);
  if (stale.length > 0) io.stderr.write("  run the same command without --check\n");
  return stale.length > 0 ? 1 : 0;
}
