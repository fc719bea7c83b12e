// The bundled model's evaluation, asked through a running service: greedily, eight conversations at a time.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@modelwire/client";
import { parseConfig, startServer } from "modelwire";

export const MODEL = fileURLToPath(new URL("../models/tiny-phi3/", import.meta.url));
export const AT_A_TIME = 8;

/** Files of models/tiny-phi3/eval, without their ending. */
export const FILES = ["capitals", "followups", "unknown", "other"];

/**
 * Starts a service with `flags` on a temporary store, logs and loads the bundled model, asks every question of `files`, and
 * takes everything down again.
 * @returns loaded: the loaded model as the service tells it; answers: file → in the order of the questions {question, text, tokenIds}; tokens
 */
export async function evaluate(files = FILES, flags = []) {
  const store = mkdtempSync(join(tmpdir(), "modelwire-eval-"));
  const server = await startServer(parseConfig(["--port", "0", "--store", store, "--log-level", "warn", ...flags], {}));
  const client = createClient(server.address);
  try {
    const { model } = await client.models.log(join(MODEL, "onnx"), { name: "tiny-phi3" });
    const { model: loaded } = await client.serving.loadModel({ model: model.modelId });
    const answers = new Map();
    for (const file of files) {
      const questions = JSON.parse(readFileSync(join(MODEL, "eval", `${file}.json`), "utf8"));
      answers.set(file, await askAll(client, model.modelId, questions));
    }
    const all = [...answers.values()].flat();
    return { loaded, answers, tokens: all.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0) };
  } finally {
    client.close();
    await server.drain();
    rmSync(store, { recursive: true, force: true });
  }
}

async function askAll(client, model, questions) {
  const answers = new Array(questions.length);
  let next = 0;
  const asker = async () => {
    while (next < questions.length) {
      const i = next++;
      answers[i] = { question: questions[i], ...(await converse(client, model, questions[i].messages)) };
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, asker));
  return answers;
}

/** Sends the user turns one after another, with the model's own answers between them; gives the last answer, and the tokens of all. */
async function converse(client, model, turns) {
  const messages = [];
  const tokenIds = [];
  let text = "";
  for (const turn of turns) {
    messages.push(turn);
    if (turn.role === "system") continue;
    text = "";
    const options = { temperature: 0, maxTokens: 96 };
    for await (const { event } of client.chat.streamChat({ model, messages, options }))
      if (event.case === "delta") {
        text += event.value.content;
        tokenIds.push(...event.value.tokenIds);
      }
    messages.push({ role: "assistant", content: text });
  }
  return { text, tokenIds };
}

/** Whether a text answers a question of the evaluation. */
export function isRight(answer, { answers, exact }) {
  if (exact) return answers.includes(answer);
  return answers.some((accepted) => ` ${answer}`.toLowerCase().includes(accepted.toLowerCase()));
}
