// `modelwire chat`: one question, or a conversation at the terminal. It must never keep what was said itself.
import { SAMPLING_FLAGS, SAMPLING_HELP, samplingOf } from "./chat-flags.ts";
import { repl } from "./chat-repl.ts";
import { callLines, logprobText, resultJson } from "./chat-views.ts";
import type { Command, Io } from "./command.ts";
import { UsageError } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { Conversation } from "./conversation.ts";
import { parseFlags } from "./flags.ts";
import { readStdin } from "./json-input.ts";
import { printable, statsLine } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  ...SAMPLING_FLAGS,
  once: { type: "string" },
  system: { type: "string" },
  stats: { type: "boolean" },
  json: { type: "boolean" },
} as const;

export const command: Command = {
  summary: "talk to a model",
  help: `Usage: modelwire chat <model> [flags]
       modelwire chat <model> --once "question"
       echo "question" | modelwire chat <model>

Prints answers as they form. At a terminal it is a conversation; /help there says what else it understands. With --once,
or when the input is no terminal, it answers one question and ends.

Flags:
  --once <question>       ask this and end
  --system <text>         the system message
  --stats                 print usage and timing below each answer
  --json                  print nothing but the whole answer, as JSON with all that the server tells of it

${SAMPLING_HELP}

${CONNECT_HELP}

Example: modelwire chat tiny-phi3 --temperature 0 --stats
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<model>"]);
    const sampling = await samplingOf(values, io);
    using client = await connect(values, io);
    const conversation = new Conversation(client.chat, positionals[0] ?? "", { ...sampling, system: values.system });
    const { stats = false, json = false } = values;
    const terminal = Boolean(io.stdin.isTTY && io.stdout.isTTY);
    if (values.once === undefined && io.stdin.isTTY) {
      if (json) throw new UsageError("--json needs --once, or a question from stdin");
      return await repl(conversation, io, { stats, terminal });
    }
    return await askOnce(conversation, values.once ?? (await readStdin(io)).trimEnd(), { stats, json }, io);
  },
};

async function askOnce(
  conversation: Conversation,
  question: string,
  { stats, json }: { stats: boolean; json: boolean },
  io: Io,
): Promise<number> {
  if (question.trim() === "") throw new UsageError("the question is empty");
  const print = (text: string) => io.stdout.write(printable(text));
  const result = await conversation.ask(question, json ? () => {} : print, { signal: io.signal });
  if (json && result) print(resultJson(result));
  else io.stdout.write("\n");
  if (result === undefined) throw io.signal.reason;
  if (!json) for (const line of callLines(result)) print(`${line}\n`);
  if (!json) io.stderr.write(logprobText(result));
  if (stats) io.stderr.write(`${statsLine(result)}\n`);
  return 0;
}
