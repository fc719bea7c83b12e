// How the whole-model figures of `npm run bench -- kernels` are taken: warm-up first, then rounds in which the sides take
// turns, one at a time. Where their caches do not fit into memory together, one side after the other instead.
import { availableBytes, bytesOf, sides as facts } from "./kernels-sides.mjs";
import { summary } from "./table.mjs";

const reserve = 1.5e9; // for the system, and for what estimates leave out

/** Milliseconds from a prompt to the logits of its last token. */
export async function prefill(sides, names, tokens, rounds) {
  const samples = new Samples(`prefill ${tokens}`, `prefill ${tokens} tokens`);
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      await samples.take(name, async () => (await sides.ask(name, { do: "prefill", tokens, seed: round })).ms);
    }
  }
  return samples.figure();
}

/**
 * Milliseconds per step in which each of `batch` sequences grows by a token, behind `context` tokens of a random prompt.
 * A turn's first step, in which a side's weights come back into the processor's caches, does not count.
 * @param batches ascending; gives one figure for each
 */
export async function decode(sides, names, context, batches, { rounds, steps }) {
  const most = batches.at(-1);
  const room = rounds * steps + 2;
  const needed = names.reduce((sum, name) => sum + bytesOf(name, most, context, room), 0);
  const together = needed + reserve < availableBytes();
  const figures = batches.map((batch) => {
    return new Samples(`decode ${batch} ${context}`, `decode, batch ${batch}, context ${context}`);
  });
  const groups = together ? [names] : names.map((name) => [name]);
  for (const group of groups) {
    // Alone a side has all the memory there is.
    if (!together) await sides.stopAll();
    // How many sequences each makes room for, once.
    const fit = new Map(group.map((name) => [name, fitting(name, batches, context, room)]));
    for (const [i, batch] of batches.entries()) {
      const ready = [];
      for (const name of group) {
        await figures[i].take(name, async () => {
          await fill(sides, name, { batch, context, steps: room, room: fit.get(name) });
          await sides.ask(name, { do: "decode", steps: 2 });
          ready.push(name);
          return [];
        });
      }
      for (let round = 0; round < rounds; round += 1) {
        for (const name of ready) {
          await figures[i].take(name, async () => (await sides.ask(name, { do: "decode", steps })).ms.slice(1));
        }
      }
    }
    for (const name of group) await sides.ask(name, { do: "release" }).catch(() => {});
  }
  if (!together) for (const samples of figures) samples.apart = true;
  return figures.map((samples) => samples.figure());
}

/** Batch 8 at a long context out of shorter measurements: the weights of the short one, the attention of eight single ones. */
export function composed(figures, batch, short, long) {
  const side = (id, name) => figures.find((one) => one.id === id)?.sides[name];
  const all = figures.find(({ id }) => id === `decode ${batch} ${short}`);
  const sides = Object.entries(all?.sides ?? {}).flatMap(([name, base]) => {
    const [near, far] = [side(`decode 1 ${short}`, name), side(`decode 1 ${long}`, name)];
    if (![base, near, far].every((one) => one?.median !== undefined)) return [];
    const median = base.median + batch * (far.median - near.median);
    return [[name, { median, low: median, high: median, note: "(composed)" }]];
  });
  const title = `decode, batch ${batch}, context ${long}`;
  return { id: `decode ${batch} ${long}`, title, unit: "ms", sides: Object.fromEntries(sides) };
}

/**
 * Gives a side `batch` sequences of `context` tokens each, to which `steps` can be added; `room`: sequences that a later
 * call may want. @throws Error with the side's reason, or because there is no memory for it
 */
export async function fill(sides, name, { batch, context, steps, room }) {
  if (name !== "genai") {
    if (batch > room) throw doesNotFit(bytesOf(name, batch, context, steps));
    return await sides.ask(name, { do: "fill", batch, context, steps, room });
  }
  // What the process holds of an earlier batch is given back before there is a look at what there is.
  await sides.ask(name, { do: "release" });
  const parts = [1, 0.75, 0.5, 0.25, 0.125].map((part) => context * part);
  const atOnce = parts.find((tokens) => bytesOf(name, batch, context, steps, tokens) + reserve < availableBytes());
  if (atOnce === undefined) throw doesNotFit(bytesOf(name, batch, context, steps, parts.at(-1)));
  return await sides.ask(name, { do: "fill", batch, context, steps, at_once: atOnce });
}

/** The greatest batch that there is memory for, 0 if none. */
function fitting(name, batches, context, steps) {
  return batches.findLast((batch) => bytesOf(name, batch, context, steps) + reserve < availableBytes()) ?? 0;
}

function doesNotFit(bytes) {
  return new Error(`does not fit: ${(bytes / 1e9).toFixed(1)} GB of ${(availableBytes() / 1e9).toFixed(1)} GB`);
}

/** Samples of one figure by side, and why a side has none. */
class Samples {
  /** Whether the sides were measured one after the other. */
  apart = false;
  #id;
  #title;
  #found = {};
  #absent = {};

  constructor(id, title) {
    this.#id = id;
    this.#title = title;
  }

  /** Adds what `measure` gives. What it throws is noted once, and the side is not asked for this figure again. */
  async take(name, measure) {
    if (this.#absent[name] !== undefined) return;
    try {
      this.#found[name] = [...(this.#found[name] ?? []), ...(await measure())];
    } catch (error) {
      this.#absent[name] = error.message;
      console.error(error.message);
    }
  }

  figure() {
    const sides = Object.fromEntries(
      Object.keys(facts).flatMap((name) => {
        if (this.#absent[name] !== undefined) return [[name, { absent: this.#absent[name] }]];
        const samples = this.#found[name];
        return samples?.length ? [[name, summary(samples)]] : [];
      }),
    );
    return { id: this.#id, title: this.#title, unit: "ms", sides, ...(this.apart ? { apart: true } : {}) };
  }
}
