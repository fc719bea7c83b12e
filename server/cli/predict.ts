// `modelwire predict`: one input to any model, and what it gives. It must never know what the model is.
import type { ModelParams, Prediction, PredictOptions, ServedTextModel } from "@modelwire/client";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { parseFlags } from "./flags.ts";
import { asBody, paramsOf, readText } from "./json-input.ts";
import { count, duration, printable } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  prompt: { type: "string", short: "p" },
  json: { type: "string" },
  input: { type: "string", short: "i" },
  param: { type: "string", multiple: true },
  stream: { type: "boolean" },
  strict: { type: "boolean" },
  stats: { type: "boolean" },
} as const;

export const command: Command = {
  summary: "ask a model by its signature",
  help: `Usage: modelwire predict <model> --prompt <text> [flags]
       modelwire predict <model> --json <text> [flags]
       modelwire predict <model> --input <file> [flags]

Gives the model an input and prints what it gives: JSON as MLflow's scoring server answers, or the text alone when that
is all there is. The input is a body of that server, with dataframe_split, dataframe_records, instances, inputs, messages
or prompt; a list of objects is taken for rows, and anything else for \`inputs\`.

Flags:
  --prompt <text>         the same as --json '{"prompt": <text>}'; a chat model wants messages
  --json <text>           the input
  --input <file>          a file with the input; - is stdin
  --param <name=value>    a parameter; the value is JSON, or else a text; may be repeated
  --stream                print text as it forms
  --strict                refuse columns and parameters that the signature does not know
  --stats                 print usage and timing below

${CONNECT_HELP}

Example: modelwire predict iris --json '[{"sepal_length": 5.1, "sepal_width": 3.5}]'
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<model>"]);
    const [model = ""] = positionals;
    const body = await bodyOf(values, io);
    const options = {
      as: "json",
      params: paramsOf("param", values.param),
      strict: values.strict,
      signal: io.signal,
    } as const;
    using client = await connect(values, io);
    const served = client.model<string, string>(model);
    const { usage, ignored, timings } = await (values.stream ? printStream : printWhole)(served, body, options, io);
    for (const [what, names] of Object.entries(ignored)) {
      const listed = names.map((name) => JSON.stringify(name)).join(", ");
      if (names.length > 0) io.stderr.write(`${printable(`warning: ignored ${what}: ${listed}`)}\n`);
    }
    if (values.stats) io.stderr.write(`${statsOf({ usage, timings })}\n`);
    return 0;
  },
};

type Model = ServedTextModel<string, string>;
type Options = PredictOptions<ModelParams>;

async function printWhole(model: Model, body: string, options: Options, io: Io): Promise<Prediction<string>> {
  const prediction = await model.predict(body, options);
  io.stdout.write(`${printable(plain(prediction.output))}\n`);
  return prediction;
}

/** The first choice as it forms. What is no text, or has more than one choice, is printed whole at the end. */
async function printStream(model: Model, body: string, options: Options, io: Io): Promise<Prediction<string>> {
  const stream = model.stream(body, options);
  let choices = 0;
  for await (const { index, text } of stream.deltas()) {
    choices = Math.max(choices, index + 1);
    if (index === 0) io.stdout.write(printable(text));
  }
  const prediction = await stream.final();
  if (choices > 0) io.stdout.write("\n");
  if (choices !== 1) io.stdout.write(`${printable(plain(prediction.output))}\n`);
  return prediction;
}

/** The text of an answer that is nothing but text; any other answer as it came. */
function plain(body: string): string {
  return body.startsWith('"') ? String(JSON.parse(body)) : body;
}

async function bodyOf(values: { prompt?: string; json?: string; input?: string }, io: Io): Promise<string> {
  const given = (["prompt", "json", "input"] as const).filter((flag) => values[flag] !== undefined);
  const [first, second] = given;
  if (first === undefined) throw new UsageError("the input is missing", "give --prompt, --json or --input");
  if (second !== undefined) throw new UsageError(`--${first} and --${second} exclude each other`);
  if (values.prompt !== undefined) return JSON.stringify({ prompt: values.prompt });
  return asBody(values.json ?? (await readText("input", values.input ?? "", io)));
}

function statsOf({ usage, timings }: Pick<Prediction<string>, "usage" | "timings">): string {
  const tokens = usage && [
    count(usage.promptTokens, "prompt token"),
    count(usage.completionTokens, "completion token"),
  ];
  return [
    ...(tokens ?? []),
    `enforcement ${milliseconds(timings.enforcementMs)}`,
    `model ${milliseconds(timings.modelMs)}`,
  ].join(", ");
}

/** With two digits behind the point below 10: a small model takes less than one. */
function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(2)} ms` : duration(ms);
}
