// `modelwire log`: a model folder, streamed to a server. It must never read the model itself.
import type { Command } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { pairsFlag, parseFlags } from "./flags.ts";
import { ProgressBar } from "./progress-bar.ts";
import { count, printable, size } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  name: { type: "string", short: "n" },
  experiment: { type: "string" },
  "experiment-id": { type: "string" },
  "run-id": { type: "string" },
  "model-type": { type: "string" },
  tag: { type: "string", multiple: true },
  param: { type: "string", multiple: true },
  "request-id": { type: "string" },
} as const;

export const command: Command = {
  summary: "send a model folder to a server",
  help: `Usage: modelwire log <folder> --name <name> [flags]

Streams every file of the folder to the server, which checks each against its SHA-256 and keeps all of them or none.

Flags:
  --name <name>           what to log it as; required, without / : . % ' "
  --experiment <name>     experiment to log into; made when there is none [Default]
  --experiment-id <id>    the same by id
  --run-id <id>           run that logs the model
  --model-type <text>     MLflow's model_type
  --tag <key=value>       a tag; may be repeated
  --param <key=value>     a model parameter; may be repeated
  --request-id <text>     the same again gives the first result; a new one is made when absent

${CONNECT_HELP}

Example: modelwire log ./phi-3-mini --name phi-3-mini --tag source=hub
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<folder>"]);
    const [folder = ""] = positionals;
    if (!values.name) throw new UsageError("--name is missing", `such as: modelwire log ${folder} --name my-model`);
    const [tags, params] = [pairsFlag("tag", values.tag), pairsFlag("param", values.param)];
    using client = await connect(values, io);
    const bar = new ProgressBar(io.stderr, "uploading");
    try {
      const { model, files, warnings } = await client.models.log(folder, {
        name: values.name,
        experimentName: values.experiment,
        experimentId: values["experiment-id"],
        runId: values["run-id"],
        modelType: values["model-type"],
        tags,
        params,
        requestId: values["request-id"],
        signal: io.signal,
        onProgress: ({ bytesSent, bytesTotal, path }) => bar.update(bytesSent, bytesTotal, path),
      });
      bar.clear();
      for (const warning of warnings) io.stderr.write(`warning: ${printable(warning)}\n`);
      io.stdout.write(
        `${model?.modelId}\n  name   ${model?.name}\n  uri    ${model?.modelUri}\n` +
          `  size   ${size(model?.sizeBytes ?? 0n)} in ${count(files.length, "file")}\n  time   ${bar.took.slice(3)}\n`,
      );
      return 0;
    } catch (error) {
      bar.clear();
      throw error;
    }
  },
};
