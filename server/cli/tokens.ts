// `modelwire tokens`: how a text looks to a model. It must never count anything itself.
import type { Command } from "./command.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connect } from "./connect.ts";
import { parseFlags } from "./flags.ts";
import { readStdin } from "./json-input.ts";
import { count, printable, table } from "./words.ts";

const FLAGS = {
  ...CONNECT_FLAGS,
  text: { type: "string" },
  message: { type: "string" },
  list: { type: "boolean" },
} as const;

export const command: Command = {
  summary: "count the tokens of a text",
  help: `Usage: modelwire tokens <model> --text <text> [--list]
       modelwire tokens <model> --message <text> [--list]
       modelwire tokens <model> < file

Says how many tokens a text has, and how many prompt and answer may have together. A text is taken as it stands; a
message is put through the model's chat template, as a question of the user.

Flags:
  --text <text>           the text; without it and --message, stdin
  --message <text>        the message
  --list                  list the tokens, a line each: id, and the vocabulary's entry

${CONNECT_HELP}

Example: modelwire tokens tiny-phi3 --text "What is the capital of Spain?" --list
`,
  async run(args, io) {
    const { values, positionals } = parseFlags(args, FLAGS, ["<model>"]);
    const { text, message, list } = values;
    const source = message === undefined ? (text ?? (await readStdin(io))) : [{ role: "user", content: message }];
    using client = await connect(values, io);
    const model = client.model(positionals[0] ?? "");
    if (list) {
      const { tokenIds, pieces } = await model.tokenize(source, { signal: io.signal });
      const rows = tokenIds.map((id, i) => [String(id), JSON.stringify(pieces[i] ?? "")]);
      io.stdout.write(printable(table([["ID", "TOKEN"], ...rows])));
    }
    const { tokenCount, contextLength } = await model.countTokens(source, { signal: io.signal });
    io.stdout.write(`${count(tokenCount, "token")} of ${contextLength}\n`);
    return 0;
  },
};
