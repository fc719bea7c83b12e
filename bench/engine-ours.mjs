// The figures of `npm run bench -- engine` that hold ours against itself: what a long prompt does to running answers, what
// is computed again of a conversation and of a shared beginning, and what guessing tokens ahead gains and costs.
import { figure } from "./engine-measure.mjs";
import { ours } from "./engine-sides.mjs";
import { prompt } from "./peers/answer-lines.mjs";
import { percentile } from "./played.mjs";
import { summary } from "./table.mjs";

const user = "user";
const assistant = "assistant";

/** How much longer the time between two tokens of `batch` running answers is at most while a prompt of `tokens` is computed. */
export async function stall(sides, batch, { tokens, before }) {
  const service = await sides.side(ours);
  const leaving = new AbortController();
  const rows = Array.from({ length: batch }, () => []);
  const waiting = [];
  /** Resolves when every answer has so many tokens. */
  const reached = (count) => new Promise((resolve) => waiting.push({ count, resolve }));
  const streams = rows.map((times, i) =>
    service
      .ask([{ role: user, ids: prompt(16, 1400 + batch * 10 + i) }], 1500, {
        signal: leaving.signal,
        onTokens(count, now) {
          times.push(...Array(count).fill(now));
          for (const { count: wanted, resolve } of waiting) if (rows.every((of) => of.length >= wanted)) resolve();
        },
      })
      .catch((error) => {
        if (!leaving.signal.aborted) throw error;
      }),
  );
  await Promise.race([reached(before + 4), ...streams]);
  const asked = performance.now();
  await service.ask([{ role: user, ids: prompt(tokens, 1500 + batch) }], 1);
  const ended = performance.now();
  leaving.abort();
  await Promise.all(streams);
  // A gap that the prompt's arrival falls into counts as one beside it.
  const all = rows.flatMap((times) => times.slice(1).map((time, i) => ({ time, ms: time - times[i] })));
  const alone = all.filter(({ time }) => time < asked).map(({ ms }) => ms);
  const beside = all.filter(({ time }) => time >= asked && time <= ended).map(({ ms }) => ms);
  const [p50, p99] = [percentile(alone, 0.5), percentile(beside, 0.99)];
  const streamsOf = `${batch} running ${batch === 1 ? "answer" : "answers"}`;
  const one = (value) => ({ [ours]: summary([value]) });
  return [
    figure(`stall ${batch}`, `${streamsOf} beside a prompt of ${tokens}: p99 over p50 without it`, "×", one(p99 / p50)),
    figure(`stall p50 ${batch}`, `${streamsOf}: between two tokens, p50`, "ms", one(p50)),
    figure(`stall p99 ${batch}`, `the same beside the prompt, p99 of ${beside.length}`, "ms", one(p99)),
    figure(`stall first ${batch}`, "first token of the prompt", "ms", one(ended - asked)),
  ];
}

/** Tokens of prompts that are computed in a conversation, over those that are new in each turn. */
export async function conversation(sides, { turns, tokens, n }) {
  const service = await sides.side(ours);
  const messages = [{ role: "system", ids: prompt(120, 1600) }];
  let fresh = messages[0].ids.length;
  let computed = 0;
  let all = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    messages.push({ role: user, ids: prompt(tokens, 1610 + turn) });
    fresh += tokens;
    const { ids, usage } = await service.ask(messages, n);
    all += usage.promptTokens;
    computed += usage.promptTokens - usage.cachedPromptTokens;
    messages.push({ role: assistant, ids });
  }
  const note = `(${computed} of ${all}; new: ${fresh})`;
  const title = `conversation of ${turns} turns: prompt tokens computed, over the new ones`;
  return [figure("conversation", title, "×", { [ours]: { ...summary([computed / fresh]), note } })];
}

/** Time to first token of two callers who share a system prompt, the first one and the second. */
export async function sharedPrompt(sides, { tokens, rounds }) {
  const service = await sides.side(ours);
  const ms = { [ours]: [], "first caller": [] };
  for (let round = 0; round < rounds; round += 1) {
    const system = { role: "system", ids: prompt(tokens, 1700 + round) };
    for (const name of ["first caller", ours]) {
      const question = { role: user, ids: prompt(16, 1800 + round * 2 + Object.keys(ms).indexOf(name)) };
      ms[name].push((await service.ask([system, question], 8)).firstMs);
    }
  }
  const found = Object.fromEntries(Object.entries(ms).map(([name, of]) => [name, summary(of)]));
  const title = `first token of the second caller with a system prompt of ${tokens}`;
  return [figure("shared prompt", title, "ms", found)];
}

/** Guessing ahead on and off in turns, on a text that repeats its prompt and on one that repeats nothing. */
export async function speculation(sides, { n, rounds }) {
  const repeating = await scripted(sides, "repeating", n.repeating, rounds.repeating);
  const random = await scripted(sides, "random", n.random, rounds.random);
  const of = (found, value) => {
    const lists = Object.entries(found).map(([name, answers]) => [name, summary(answers.map((one) => one[value]))]);
    return Object.fromEntries(lists);
  };
  // Round by round, as what is added to the bare runner's step.
  const lost = random.guessing.map(({ rate }, round) => (1 - rate / random.plain[round].rate) * 100);
  return [
    figure("steps repeating", "steps per token, text that repeats its prompt", "steps", of(repeating, "steps")),
    figure("rate repeating", "one answer, text that repeats its prompt", "tok/s", of(repeating, "rate"), true),
    figure("steps random", "steps per token, text that repeats nothing", "steps", of(random, "steps")),
    figure("rate random", "one answer, text that repeats nothing", "tok/s", of(random, "rate"), true),
    figure("lost", "lost by guessing on text that repeats nothing", "%", { guessing: summary(lost) }),
  ];
}

/** Answers of `n` tokens by whether tokens were guessed ahead: steps per token, and tokens per second behind the first. */
async function scripted(sides, text, n, rounds) {
  const found = { guessing: [], plain: [] };
  for (let round = -1; round < rounds; round += 1) {
    const order = round % 2 === 0 ? ["guessing", "plain"] : ["plain", "guessing"];
    for (const name of order) {
      const request = { do: "scripted", text, guesses: name === "guessing", n, seed: 1900 + round };
      const { times, steps } = await sides.ask("in process", request);
      const [of] = times;
      if (of.length !== n) throw new Error(`a scripted answer has ${of.length} of ${n} tokens`);
      // The first token is of the prompt's own step.
      if (round >= 0) found[name].push({ steps: (steps - 1) / (n - 1), rate: ((n - 1) * 1000) / (of.at(-1) - of[0]) });
    }
  }
  return found;
}
