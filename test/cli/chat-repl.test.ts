// The conversation at a terminal: its core with streams of the test's own, and once for real, where Ctrl-C is a key.
import { PassThrough } from "node:stream";
import type { ModelwireClient } from "@modelwire/client";
import { createClient } from "@modelwire/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { repl } from "../../server/cli/chat-repl.ts";
import { Interrupted } from "../../server/cli/command.ts";
import { Conversation } from "../../server/cli/conversation.ts";
import { hasTerminals, startAtTerminal } from "./cli.ts";
import { startFakeServer } from "./fake-server.ts";

let server: Awaited<ReturnType<typeof startFakeServer>>;
let client: ModelwireClient;

beforeAll(async () => {
  server = await startFakeServer();
  server.models.add("tiny", {});
  client = createClient(server.address);
});

afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});

/** A conversation over plain streams: `says` waits for a text in the output, from where the last one ended. */
function converse(options: { stats?: boolean; system?: string; model?: string } = {}) {
  const stdin = new PassThrough();
  const output = new PassThrough({ encoding: "utf8" });
  const errors = new PassThrough({ encoding: "utf8" });
  const abort = new AbortController();
  const conversation = new Conversation(client.chat, options.model ?? "tiny", { system: options.system });
  const io = { stdin, stdout: output, stderr: errors, env: {}, signal: abort.signal };
  const ended = repl(conversation, io, { stats: options.stats ?? false, terminal: false });
  ended.catch(() => {});
  let text = "";
  let at = 0;
  let told = () => {};
  output.on("data", (piece: string) => {
    text += piece;
    told();
  });
  return {
    conversation,
    abort,
    ended,
    errors,
    type: (line: string) => stdin.write(`${line}\n`),
    end: () => stdin.end(),
    async says(expected: string) {
      while (text.indexOf(expected, at) < 0) {
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      }
      at = text.indexOf(expected, at) + expected.length;
    },
  };
}

test("the second question goes with the first and its answer", async () => {
  const talk = converse();
  await talk.says("> ");
  talk.type("hi");
  await talk.says("1: hi[31m!\n> ");
  talk.type("and now?");
  await talk.says("3: and now?[31m!\n> ");
  expect(talk.conversation.messages.map((m) => `${m.role} ${m.content}`)).toEqual([
    "user hi",
    "assistant 1: hi\u001b[31m!",
    "user and now?",
    "assistant 3: and now?\u001b[31m!",
  ]);
  talk.end();
  expect(await talk.ended).toBe(0);
});

test("/reset forgets all but the system message, /system replaces it, an unknown command is explained", async () => {
  const talk = converse({ system: "be short" });
  talk.type("hi");
  await talk.says("2: hi");
  talk.type("/reset");
  await talk.says("Forgotten.");
  talk.type("hi");
  await talk.says("2: hi");
  talk.type("/system  speak  softly");
  await talk.says("System message set");
  expect(talk.conversation.messages).toEqual([{ role: "system", content: "speak  softly" }]);
  talk.type("/system");
  await talk.says("No system message");
  expect(talk.conversation.messages).toEqual([]);
  talk.type("/what");
  await talk.says("Unknown command /what.\n  /reset");
  talk.type("/exit");
  expect(await talk.ended).toBe(0);
});

test("an error is shown, leaves the conversation as it was, and does not end it", async () => {
  const talk = converse();
  talk.type("bad");
  await talk.says("> \n> ");
  expect(talk.errors.read()).toContain("messages[0].role: is empty");
  talk.type("hi");
  await talk.says("1: hi");
  talk.end();
  expect(await talk.ended).toBe(0);
});

test("stats stand below each answer when asked for", async () => {
  const talk = converse({ stats: true });
  talk.type("hi");
  await talk.says("!\n> ");
  expect(talk.errors.read()).toMatch(/^5 prompt tokens .*seed 9\n$/);
  talk.end();
  await talk.ended;
});

test("a signal in the middle of an answer ends both", async () => {
  const talk = converse();
  talk.type("forever");
  await talk.says("1: forever");
  const reason = new Interrupted("SIGTERM");
  talk.abort.abort(reason);
  await expect(talk.ended).rejects.toBe(reason);
});

test.skipIf(!hasTerminals)(
  "Ctrl-C stops the answer and not the program; on a half-written line it asks again",
  async () => {
    const talk = startAtTerminal(["chat", "tiny", "--address", server.address]);
    await talk.seen("> ");
    talk.write("forever\r");
    await talk.seen("1: forever");
    talk.write("\u0003");
    await talk.seen("[stopped]");
    talk.write("hi\r");
    // The broken answer is part of the conversation. Only after the prompt is drawn is Ctrl-C no longer about the answer.
    await talk.seen("3: hi[31m!\r\n\u001b[1G");
    talk.write("half a line");
    await talk.seen("half a line");
    talk.write("\u0003");
    await talk.seen("Ctrl-C again to leave");
    talk.write("\u0003");
    expect((await talk.done).code).toBe(0);
  },
);

test.skipIf(!hasTerminals).each([
  ["Ctrl-C", "\u0003"],
  ["Ctrl-D", "\u0004"],
])("%s at an empty prompt leaves", async (_, key) => {
  const talk = startAtTerminal(["chat", "tiny", "--address", server.address]);
  await talk.seen("> ");
  talk.write(key);
  expect((await talk.done).code).toBe(0);
});
