// `modelwire signature …`: what a model takes and gives, and what MLflow would find that an example takes. It must never
// infer anything itself.
import type { ModelwireClient, Signature } from "@modelwire/client";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { behind, parseFlags } from "./flags.ts";
import { exactParams, readText } from "./json-input.ts";
import { printable } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  input: { type: "string", short: "i" },
  output: { type: "string" },
  param: { type: "string", multiple: true },
  json: { type: "boolean" },
} as const;

interface SignatureFlags {
  input?: string;
  output?: string;
  param?: string[];
  json?: boolean;
}

/** A word behind `signature`: what else it needs, and where the signature comes from. */
interface Action {
  needs: readonly string[];
  run(client: ModelwireClient, words: readonly string[], flags: SignatureFlags, io: Io): Promise<Signature | undefined>;
}

export const command: Command = {
  summary: "show a model's signature, or infer one from examples",
  help: `Usage: modelwire signature show <model> [--json]
       modelwire signature infer --input <file> [--output <file>] [--param <name=value>] [--json]

Prints a signature as Python does; with --json, as an MLmodel file has it, which is what \`modelwire log --signature\` takes.
infer finds what MLflow's infer_signature would find for the examples. They are JSON, taken as they stand; a table is
{"columns": […], "data": […]}, or {"dataframe_records": […]}, as \`modelwire log --input-example\` takes it.

Flags:
  --input <file>          an example of what goes in; - is stdin
  --output <file>         an example of what comes out
  --param <name=value>    a parameter and its default: 1 is a long, 1.0 a double; may be repeated
  --json                  JSON instead of text

${CONNECT_HELP}

Example: echo '{"prompt": "hi"}' | modelwire signature infer --input -
`,
  async run(args, io) {
    const [word = "", ...rest] = args;
    const action = behind("signature", word, ACTIONS);
    const { values, positionals } = parseFlags(rest, FLAGS, action.needs);
    using client = await connect(values, io);
    const signature = await action.run(client, positionals, values, io);
    if (signature) io.stdout.write(values.json ? signatureJson(signature) : `${printable(signature.text).trimEnd()}\n`);
    return 0;
  },
};

const ACTIONS: Record<string, Action> = {
  show: {
    needs: ["<model>"],
    async run(client, [model = ""], _, { signal }) {
      return (await client.signatures.getSignature({ model }, { signal })).signature;
    },
  },
  infer: {
    needs: [],
    async run(client, _, { input, output, param }, io) {
      if (input === undefined && output === undefined && param === undefined)
        throw new UsageError("there is nothing to infer from", "give --input, --output or --param");
      if (input === "-" && output === "-") throw new UsageError("--input and --output cannot both be stdin");
      const example = async (flag: string, path: string | undefined) => {
        if (path === undefined) return undefined;
        return { form: { case: "json" as const, value: await readText(flag, path, io) } };
      };
      const request = {
        input: await example("input", input),
        output: await example("output", output),
        params: param && { entries: exactParams("param", param) },
      };
      const { signature, warnings } = await client.signatures.inferSignature(request, { signal: io.signal });
      for (const warning of warnings) io.stderr.write(`warning: ${printable(warning)}\n`);
      return signature;
    },
  },
};

/** As an MLmodel file has it: three texts of JSON, or null. */
function signatureJson({ json }: Signature): string {
  const { inputs = null, outputs = null, params = null } = json ?? {};
  return `${JSON.stringify({ inputs, outputs, params }, undefined, 2)}\n`;
}
