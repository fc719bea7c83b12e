// The requests of the soak: a pure function of (seed, number), so that a run can be had again and one request be looked at by
// itself. It knows the words of the client and nothing of the service.
import { readFileSync } from "node:fs";

const file = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const questions = ["capitals", "followups", "unknown", "other"].flatMap((name) =>
  JSON.parse(file(`models/tiny-phi3/eval/${name}.json`)).map(({ messages }) => messages),
);
const prose = `${file("README.md")}\n${file("docs/architecture.md")}`.replace(/\s+/g, " ");
const words = [...new Set(prose.split(/[^A-Za-z]+/))];
/** Beginnings that many requests share, of about 20, 150 and 450 tokens. */
const systems = [60, 400, 1200].map(
  (length, i) => `You are a friendly assistant. ${prose.slice(i * 3000, i * 3000 + length)}`,
);

/** What an answer may have to be; `fits` says whether a text is. */
export const formats = [
  {
    format: {
      jsonSchema: {
        type: "object",
        properties: { city: { enum: ["Madrid", "Paris", "Rome"] }, sure: { type: "boolean" } },
        required: ["city", "sure"],
        additionalProperties: false,
      },
    },
    fits: (text) => {
      const { city, sure, ...rest } = JSON.parse(text);
      return ["Madrid", "Paris", "Rome"].includes(city) && typeof sure === "boolean" && Object.keys(rest).length === 0;
    },
  },
  {
    format: { jsonSchema: { type: "array", items: { enum: [1, 2, 3] }, minItems: 1, maxItems: 4 } },
    fits: (text) => {
      const list = JSON.parse(text);
      return list.length >= 1 && list.length <= 4 && list.every((item) => [1, 2, 3].includes(item));
    },
  },
  { format: { regex: "(yes|no)( [a-z]{1,9}){0,3}\\." }, fits: (text) => /^(yes|no)( [a-z]{1,9}){0,3}\.$/.test(text) },
  { format: { grammar: 'root ::= "a" root "b" | "c"' }, fits: (text) => /^(a*)c(b*)$/.test(text) },
];

/** Numbers of request `number` of a run with `seed`. */
function chances(seed, number) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (least, most) => least + Math.floor(next() * (most - least + 1));
  return {
    chance: (share) => next() < share,
    whole,
    real: (least, most) => least + next() * (most - least),
    one: (list) => list[whole(0, list.length - 1)],
  };
}

/**
 * @param formatted whether the service knows response formats
 * @returns the input of a chat, and what its reader does: {type: "reads"}, {type: "folds"} (the unary call), {type: "slow",
 *   pauseMs}, {type: "cancels", afterMs} or {afterEvents}, {type: "deadline", timeoutMs}; fits of its format; turns, which are
 *   asked one after the other in the same conversation
 */
export function requestOf(seed, number, model, formatted) {
  const random = chances(seed, number);
  const messages = conversation(random);
  const form = formatted && random.chance(0.12) ? random.one(formats) : undefined;
  const input = {
    model,
    messages,
    ...sampling(random),
    ...ending(random),
    ...(form && { responseFormat: form.format, maxTokens: 60, minTokens: undefined, ignoreEos: undefined, stop: [] }),
    ...(random.chance(0.5) && { logprobs: random.one([true, 1, 5]) }),
    ...(random.chance(0.15) && { n: random.whole(2, 3) }),
    ...(random.chance(0.2) && { priority: random.whole(-3, 3) }),
    cacheSalt: random.one(["", "", "one", "two"]),
  };
  const turns = random.chance(0.15)
    ? Array.from({ length: random.whole(1, 3) }, () => random.one(questions).at(-1))
    : [];
  return { number, input, reader: reader(random), fits: form?.fits, turns };
}

function conversation(random) {
  const question = random.one(questions).filter(({ role }) => role !== "assistant");
  if (random.chance(0.3))
    return [{ role: "system", content: random.one(systems) }, ...question.filter(({ role }) => role !== "system")];
  if (random.chance(0.15)) {
    const from = random.whole(0, prose.length - 3200);
    return [{ role: "user", content: `${prose.slice(from, from + random.whole(300, 3000))}\nWhat does it say?` }];
  }
  // Words without sense leave the model unsure, so that a wrong number anywhere makes another token.
  if (random.chance(0.4)) {
    const said = Array.from({ length: random.whole(4, 60) }, () => random.one(words)).join(" ");
    return [{ role: "user", content: said }];
  }
  return question;
}

function sampling(random) {
  if (random.chance(0.4))
    return { temperature: 0, ...(random.chance(0.2) && { repetitionPenalty: random.real(1.01, 1.4) }) };
  return {
    temperature: random.one([0.7, 1, 1.5, 3]),
    seed: random.whole(0, 1e9),
    ...(random.chance(0.3) && { topK: random.whole(2, 80) }),
    ...(random.chance(0.4) && { topP: random.real(0.3, 0.99) }),
    ...(random.chance(0.3) && { minP: random.real(0.01, 0.3) }),
    ...(random.chance(0.2) && { repetitionPenalty: random.real(0.8, 1.5) }),
    ...(random.chance(0.2) && { presencePenalty: random.real(-1, 2) }),
    ...(random.chance(0.2) && { frequencyPenalty: random.real(-1, 2) }),
    ...(random.chance(0.1) && { logitBias: { [random.whole(100, 2000)]: 5, [random.whole(100, 2000)]: -100 } }),
  };
}

function ending(random) {
  const maxTokens = random.one([1, 8, 24, 48, 100]);
  return {
    maxTokens,
    ...(random.chance(0.2) && { stop: random.one([[" the"], ["."], ["is", "of"]]) }),
    ...(random.chance(0.1) && { stopTokenIds: [random.whole(100, 2000), random.whole(100, 2000)] }),
    ...(random.chance(0.15) && { minTokens: random.whole(0, maxTokens) }),
    // Answers that go on and on run in circles, which is what guessing ahead is made for.
    ...(random.chance(0.3) && { ignoreEos: true }),
  };
}

function reader(random) {
  if (random.chance(0.1)) return { type: "cancels", afterMs: random.real(0, 150) };
  if (random.chance(0.06)) return { type: "cancels", afterEvents: random.whole(1, 12) };
  if (random.chance(0.1)) return { type: "deadline", timeoutMs: random.whole(3, 1500) };
  if (random.chance(0.1)) return { type: "slow", pauseMs: random.one([2, 10, 60]) };
  return { type: random.chance(0.2) ? "folds" : "reads" };
}
