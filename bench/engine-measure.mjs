// How the figures of `npm run bench -- engine` are taken that compare sides: the sides take turns in one run, and what one
// side adds to another is taken round by round, so that a machine that becomes slower or faster meanwhile changes neither.
import { ours } from "./engine-sides.mjs";
import { atOnce, described, withOtherPrompts } from "./loads.mjs";
import { firstTokens, gaps, mean, percentile, rate, steadyGaps } from "./played.mjs";
import { summary } from "./table.mjs";

const bare = "bare runner";
const inProcess = "in process";

/** What the engine, and the service around it, add to a step of the bare runner in which `batch` sequences decode. */
export async function overhead(sides, batch, { rounds, steps }) {
  const load = (n, seed) => atOnce(batch, { tokens: 32, n, seed });
  /** Milliseconds between two runs of the engine's runner. */
  const between = [];
  const measures = {
    [bare]: async (n, seed) =>
      (await sides.ask(inProcess, { do: "bare", batch, tokens: 32, steps: n, seed })).ms.slice(2),
    [inProcess]: async (n, seed) => {
      const { times, pauses } = await sides.ask(inProcess, { do: "play", load: load(n, seed) });
      between.push(...pauses);
      return steadyGaps(times);
    },
    [ours]: async (n, seed) => steadyGaps(await sides.play(ours, load(n, seed))),
  };
  const names = Object.keys(measures);
  const found = [];
  for (let round = -1; round < rounds; round += 1) {
    const ms = {};
    // Each goes first in a third of the rounds.
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(i + round + names.length) % names.length];
      const taken = await measures[name](round < 0 ? 4 : steps, round * 10 + batch + 20);
      ms[name] = percentile(taken, 0.5);
    }
    if (round >= 0) found.push(ms);
  }
  const of = (side, value) => [side, summary(found.map((ms) => value(ms[side], ms[bare])))];
  const where = `batch ${batch}, context 32 to ${32 + steps}`;
  const added = [inProcess, ours];
  return [
    figure(
      `step ${batch}`,
      `each token, ${where}`,
      "ms",
      Object.fromEntries(names.map((name) => of(name, (ms) => ms))),
    ),
    figure(`pause ${batch}`, `of it between two runs of the runner, batch ${batch}`, "ms", {
      [inProcess]: summary(between),
    }),
    figure(
      `added ${batch}`,
      `added to the bare runner's step, batch ${batch}`,
      "ms",
      Object.fromEntries(added.map((name) => of(name, (ms, least) => ms - least))),
    ),
    figure(
      `added share ${batch}`,
      `added to the bare runner's step, batch ${batch}`,
      "%",
      Object.fromEntries(added.map((name) => of(name, (ms, least) => (ms / least - 1) * 100))),
    ),
  ];
}

/** A load of requests that come one after the other, played to each side; ours first and last. */
export async function ragged(sides, load, names, eachPlayed = async () => {}) {
  const samples = new Samples();
  for (const [i, name] of [...names, ours].entries()) {
    await samples.take(name, async () => {
      const times = await sides.play(name, i < names.length ? load : withOtherPrompts(load, 600));
      await eachPlayed(name);
      return {
        rate: rate(times),
        first: mean(firstTokens(load, times)),
        ...Object.fromEntries(spread.map(([id, part]) => [id, percentile(gaps(times), part)])),
      };
    });
  }
  const what = `ragged load (${described(load)})`;
  return [
    samples.figure("rate", "ragged rate", `${what}: new tokens over the whole time`, "tok/s", true),
    samples.figure("first", "ragged first", "ragged load: mean time to first token", "ms"),
    ...spread.map(([id]) => samples.figure(id, `ragged ${id}`, `ragged load: between two tokens, ${id}`, "ms")),
  ];
}

/** Eight at once with short prompts, beside ours asked one after the other. */
export async function heavy(sides, names, { n, rounds, single }) {
  const samples = new Samples();
  for (let round = 0; round < rounds; round += 1) {
    const load = atOnce(8, { tokens: 16, n, seed: 700 + round });
    for (const name of names) await samples.take(name, async () => ({ rate: rate(await sides.play(name, load)) }));
    await samples.take("one at a time", async () => {
      let ms = 0;
      for (const request of load.slice(0, single)) {
        // Of its own tokens: the same prompts would be in the cache.
        const [alone] = atOnce(1, { tokens: 16, n, seed: 800 + round * 8 + load.indexOf(request) });
        ms += Math.max(...(await sides.play(ours, [alone])).flat());
      }
      return { rate: (single * n * 1000) / ms };
    });
  }
  const title = `8 requests at once, prompts of 16, ${n} new tokens each`;
  return [samples.figure("rate", "heavy rate", title, "tok/s", true)];
}

/** So many requests at once, with prompts of 32: rate, first token, and what lies between two tokens. */
export async function concurrent(sides, requests, names, { n, rounds }) {
  const samples = new Samples();
  for (let round = 0; round < rounds; round += 1) {
    const load = atOnce(requests, { tokens: 32, n, seed: 900 + round * 20 + requests });
    for (const name of names) {
      await samples.take(name, async () => {
        const times = await sides.play(name, load);
        return {
          rate: rate(times),
          first: mean(firstTokens(load, times)),
          ...Object.fromEntries(spread.map(([id, part]) => [id, percentile(gaps(times), part)])),
        };
      });
    }
  }
  const what = `${requests} at once, prompts of 32, ${n} new`;
  return [
    samples.figure("rate", `concurrent rate ${requests}`, `${what}: new tokens`, "tok/s", true),
    samples.figure("first", `concurrent first ${requests}`, `${requests} at once: mean time to first token`, "ms"),
    ...spread.map(([id]) =>
      samples.figure(id, `concurrent ${id} ${requests}`, `${requests} at once: between two tokens, ${id}`, "ms"),
    ),
  ];
}

/** Tokens of a prompt per second until the first token is there. */
export async function prefill(sides, tokens, names, rounds) {
  const samples = new Samples();
  for (let round = 0; round < rounds; round += 1) {
    const load = atOnce(1, { tokens, n: 1, seed: 1300 + round });
    for (const name of names)
      await samples.take(name, async () => ({ rate: (tokens * 1000) / (await sides.play(name, load))[0][0] }));
  }
  return [samples.figure("rate", `prefill ${tokens}`, `a prompt of ${tokens} tokens`, "tok/s", true)];
}

export function figure(id, title, unit, found, more = false) {
  return { id, title, unit, ...(more && { more }), sides: found };
}

const spread = [
  ["p50", 0.5],
  ["p95", 0.95],
  ["p99", 0.99],
];

/** Samples of several values by side, and why a side has none. */
class Samples {
  #found = {};
  #absent = {};

  /** Adds what `measure` gives. What it throws is noted once, and the side is not asked again. */
  async take(name, measure) {
    if (this.#absent[name] !== undefined) return;
    try {
      this.#found[name] = [...(this.#found[name] ?? []), await measure()];
    } catch (error) {
      this.#absent[name] = error.message;
      console.error(`${name}: ${error.message}`);
    }
  }

  figure(value, id, title, unit, more) {
    const found = Object.entries(this.#found).map(([name, all]) => [name, summary(all.map((one) => one[value]))]);
    const absent = Object.entries(this.#absent).map(([name, reason]) => [name, { absent: reason }]);
    return figure(id, title, unit, Object.fromEntries([...found, ...absent]), more);
  }
}
