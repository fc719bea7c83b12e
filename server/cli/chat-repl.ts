// The conversation at a terminal: a line in, an answer out as it forms. It must never know how an answer is made.
import { createInterface } from "node:readline";
import { ApiError } from "@modelwire/client";
import { callLines, logprobText } from "./chat-views.ts";
import type { Io } from "./command.ts";
import type { Conversation } from "./conversation.ts";
import { failureLines } from "./failure.ts";
import { printable, statsLine } from "./words.ts";

const HELP = `  /reset           forget what was said
  /system <text>   set the system message and begin anew; without text, take it away
  /help            this
  /exit            leave; so do Ctrl-D, and Ctrl-C at an empty prompt
  Ctrl-C           while an answer forms: stop it
`;

export interface ReplOptions {
  /** Print usage and timing below each answer. */
  stats: boolean;
  /** Take single keys, as from a terminal; false reads plain lines. */
  terminal: boolean;
}

/** Talks until the user leaves. @returns the exit code: 0. */
export async function repl(conversation: Conversation, io: Io, { stats, terminal }: ReplOptions): Promise<number> {
  const lines = createInterface({ input: io.stdin, output: io.stdout, terminal, prompt: "> " });
  const say = (text: string) => io.stdout.write(text);
  let answering: AbortController | undefined;
  let warned = false;
  // Lines that came before the end are still answered after it, and from Node 24 on a closed interface refuses to prompt.
  let closed = false;
  lines.once("close", () => {
    closed = true;
  });
  const prompt = () => {
    if (!closed) lines.prompt();
  };
  lines.on("SIGINT", () => {
    if (answering) {
      answering.abort();
    } else if (lines.line === "" || warned) {
      lines.close();
    } else {
      warned = true;
      say("\n(Ctrl-C again to leave)\n");
      lines.write(null, { ctrl: true, name: "u" }); // empties the line
      prompt();
    }
  });
  const stop = () => {
    answering?.abort();
    lines.close();
  };
  if (io.signal.aborted) stop();
  io.signal.addEventListener("abort", stop, { once: true });

  const answer = async (question: string) => {
    answering = new AbortController();
    try {
      const result = await conversation.ask(question, (text) => say(printable(text)), { signal: answering.signal });
      say(result ? "\n" : " [stopped]\n");
      if (result) for (const line of callLines(result)) say(`${printable(line)}\n`);
      if (result) io.stderr.write(logprobText(result));
      if (result && stats) io.stderr.write(`${statsLine(result)}\n`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      say("\n");
      io.stderr.write(`${printable(failureLines(error).join("\n"))}\n`);
    } finally {
      answering = undefined;
    }
  };

  try {
    say(`Talking to ${printable(conversation.model)}. /help says what else there is.\n`);
    prompt();
    for await (const line of lines) {
      warned = false;
      const [word = "", ...rest] = line.trim().split(/\s+/);
      if (word === "/exit" || word === "/quit") break;
      if (word === "/help") say(HELP);
      else if (word === "/reset") {
        conversation.reset();
        say("Forgotten.\n");
      } else if (word === "/system") {
        conversation.system = line.trim().slice(word.length).trim();
        say(rest.length > 0 ? "System message set, the rest forgotten.\n" : "No system message any more.\n");
      } else if (/^\/\w+$/.test(word)) say(`Unknown command ${word}.\n${HELP}`);
      else if (word !== "") await answer(line);
      prompt();
    }
    say("\n");
    if (io.signal.aborted) throw io.signal.reason;
    return 0;
  } finally {
    io.signal.removeEventListener("abort", stop);
    lines.close();
  }
}
