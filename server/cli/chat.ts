// `modelwire chat`: one question, or a conversation at the terminal. It must never keep what was said itself.
import { repl } from "./chat-repl.ts";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import type { Sampling } from "./conversation.ts";
import { Conversation } from "./conversation.ts";
import { numberFlag, parseFlags } from "./flags.ts";
import { readStdin } from "./json-input.ts";
import { printable, statsLine } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  once: { type: "string" },
  system: { type: "string" },
  temperature: { type: "string", short: "t" },
  "max-tokens": { type: "string" },
  "top-p": { type: "string" },
  "top-k": { type: "string" },
  seed: { type: "string" },
  stop: { type: "string", multiple: true },
  stats: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseFlags<typeof FLAGS>>["values"];

export const command: Command = {
  summary: "talk to a model",
  help: `Usage: modelwire chat <model> [flags]
       modelwire chat <model> --once "question"
       echo "question" | modelwire chat <model>

Prints answers as they form. At a terminal it is a conversation; /help there says what else it understands. With --once,
or when the input is no terminal, it answers one question and ends.

Flags (absent means the model's own default):
  --once <question>       ask this and end
  --system <text>         the system message
  --temperature <number>  0 takes the likeliest token each time
  --max-tokens <n>        most tokens of an answer
  --top-p <number>        sample from the likeliest tokens that reach this probability together
  --top-k <n>             sample from this many of the likeliest tokens
  --seed <n>              the same question with the same seed gives the same answer
  --stop <text>           ends the answer; may be repeated
  --stats                 print usage and timing below each answer

${CONNECT_HELP}

Example: modelwire chat tiny-phi3 --temperature 0 --stats
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<model>"]);
    const sampling = samplingOf(values);
    using client = await connect(values, io);
    const conversation = new Conversation(client.chat, positionals[0] ?? "", { ...sampling, system: values.system });
    const terminal = Boolean(io.stdin.isTTY && io.stdout.isTTY);
    if (values.once === undefined && io.stdin.isTTY) {
      return await repl(conversation, io, { stats: values.stats ?? false, terminal });
    }
    return await askOnce(conversation, values.once ?? (await readStdin(io)).trimEnd(), values.stats ?? false, io);
  },
};

async function askOnce(conversation: Conversation, question: string, stats: boolean, io: Io): Promise<number> {
  if (question.trim() === "") throw new UsageError("the question is empty");
  const result = await conversation.ask(question, (text) => io.stdout.write(printable(text)), { signal: io.signal });
  io.stdout.write("\n");
  if (result === undefined) throw io.signal.reason;
  if (stats) io.stderr.write(`${statsLine(result)}\n`);
  return 0;
}

function samplingOf(values: Values): Sampling {
  return {
    temperature: numberFlag("temperature", values.temperature),
    maxTokens: numberFlag("max-tokens", values["max-tokens"]),
    topP: numberFlag("top-p", values["top-p"]),
    topK: numberFlag("top-k", values["top-k"]),
    seed: seedOf(values.seed),
    stop: values.stop,
  };
}

/** A bigint, since seeds have 64 bits. */
function seedOf(value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value)) throw new UsageError(`--seed takes a whole number from 0, not "${value}"`);
  return BigInt(value);
}
