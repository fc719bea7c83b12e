// Reading and enforcing inputs beside MLflow's recorded verdicts, whose origin stands in the table.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type CodedPair, verdictOn } from "../../conformance/mlflow/input-verdict.ts";

interface Recorded {
  /** MLflow took it: what its model would get. */
  readonly data?: unknown;
  readonly params?: unknown;
  readonly output?: string;
  /** MLflow refused it, with a message of this class. */
  readonly class?: string;
  /** MLflow loses something here, or was refused for that too. */
  readonly loss?: string;
}

interface RecordedTable {
  readonly classes: Readonly<Record<string, string>>;
  readonly losses: Readonly<Record<string, string>>;
  readonly pairs: readonly (CodedPair & { readonly verdict: Recorded })[];
}

const table: RecordedTable = JSON.parse(readFileSync(new URL("mlflow-inputs.json", import.meta.url), "utf8"));

const wanted = table.pairs.map((pair, at) => ({ at, pair, verdict: pair.verdict }));

describe("beside MLflow's recorded verdicts", () => {
  test("what MLflow takes is taken, and becomes the same", () => {
    const taken = wanted.filter(({ verdict }) => "data" in verdict);
    expect(taken.length).toBeGreaterThan(80);
    for (const { at, pair, verdict } of taken) {
      const { data, params, output, message } = verdictOn(pair);
      expect({ at, data, params, message }).toEqual({ at, data: verdict.data, params: verdict.params });
      if (!isBareObject(data)) expect({ at, output }).toEqual({ at, output: verdict.output });
    }
  });

  test("what MLflow refuses is refused with its class of message", () => {
    const refused = wanted.filter(({ verdict }) => verdict.class !== undefined);
    expect(refused.length).toBeGreaterThan(80);
    for (const { at, pair, verdict } of refused) {
      const { message = "taken" } = verdictOn(pair);
      const found = verdict.class === "other" && classOf(message) === "params" ? "other" : classOf(message);
      expect({ at, class: found, message }).toEqual({ at, class: verdict.class, message });
    }
  });

  test("what MLflow would lose without a word is refused", () => {
    const lost = wanted.filter(({ verdict }) => verdict.loss !== undefined);
    expect(lost.length).toBeGreaterThan(5);
    for (const { at, pair, verdict } of lost) {
      const words = new RegExp(table.losses[verdict.loss ?? ""] ?? "no such loss");
      expect({ at, message: verdictOn(pair).message }).toEqual({ at, message: expect.stringMatching(words) });
    }
  });

  test("every refusal says by field what would be right", () => {
    for (const { at, pair } of wanted) {
      const { message, violations = [] } = verdictOn(pair);
      if (message !== undefined) expect({ at, count: violations.length }).not.toEqual({ at, count: 0 });
    }
  });
});

function classOf(message: string): string {
  const found = Object.entries(table.classes).find(([, words]) => new RegExp(words, "s").test(message));
  return found?.[0] ?? "other";
}

/** Of an object without dimensions MLflow's server writes the keys, by mistake. */
function isBareObject(data: unknown): boolean {
  return JSON.stringify(data).includes('"dtype":"object","shape":[]');
}
