import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Claim, FairShare } from "../../server/decoder/fair-share.ts";

const claim = (id: number, caller = "", priority = 0, arrivedAtMs = 0): Claim => ({
  id,
  caller,
  priority,
  arrivedAtMs,
});

/** Serves one after the other, `costs` tokens each, a second apart. @returns the ids in the order of their turns */
function serve(
  fairness: FairShare,
  waiting: Claim[],
  costs: (each: Claim) => number,
  times = waiting.length,
): number[] {
  const order: number[] = [];
  for (let turn = 0; turn < times; turn++) {
    const next = fairness.next(waiting, turn * 1000)!;
    fairness.placed(next, turn * 1000);
    fairness.charge(next.caller, costs(next));
    waiting.splice(waiting.indexOf(next), 1);
    order.push(next.id);
  }
  return order;
}
function joined(claims: readonly Claim[], agingMs = 1e9): FairShare {
  const fairness = new FairShare(agingMs);
  for (const { caller } of claims) fairness.join(caller);
  return fairness;
}

describe("whose turn it is", () => {
  test("is that of the more urgent, and among equals of who came first", () => {
    const claims = [claim(1), claim(2), claim(3, "", 1), claim(4, "", -1)];
    expect(serve(joined(claims), claims, () => 10)).toEqual([3, 1, 2, 4]);
  });

  test("goes from caller to caller by the tokens they had, however many they ask for", () => {
    const claims = [...[1, 2, 3, 4].map((id) => claim(id, "many")), claim(5, "few"), claim(6, "few")];
    expect(serve(joined(claims), claims, ({ caller }) => (caller === "many" ? 10 : 25))).toEqual([1, 5, 2, 3, 6, 4]);
  });

  test("is not saved up by a caller that was away", () => {
    const fairness = new FairShare(1e9);
    fairness.join("busy");
    fairness.join("away");
    fairness.leave("away");
    fairness.charge("busy", 1000);
    fairness.join("away");
    const claims = [claim(1, "busy"), claim(2, "away"), claim(3, "busy"), claim(4, "away")];
    for (const { caller } of claims) fairness.join(caller);
    expect(serve(fairness, claims, () => 100)).toEqual([1, 2, 3, 4]);
  });

  test("comes for a request without urgency although urgent ones keep coming", () => {
    const fairness = new FairShare(5000);
    for (const caller of ["calm", "pressing"]) fairness.join(caller);
    const waiting = [claim(0, "calm")];
    let turn = 0;
    for (; waiting.some(({ id }) => id === 0); turn++) {
      waiting.push(claim(turn + 1, "pressing", 2, turn * 1000));
      const next = fairness.next(waiting, turn * 1000)!;
      fairness.placed(next, turn * 1000);
      waiting.splice(waiting.indexOf(next), 1);
    }
    expect(turn).toBeLessThanOrEqual(12);
  });

  test("comes for everyone, whoever they are and whatever comes after them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.integer({ min: -2, max: 2 }), fc.nat(100)), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(100)), { minLength: 1, maxLength: 8 }),
        (first, later) => {
          const fairness = new FairShare(4000);
          let waiting = first.map(([caller, priority], id) => claim(id, caller, priority));
          for (const { caller } of waiting) fairness.join(caller);
          let turn = 0;
          for (; waiting.some(({ id }) => id < first.length); turn++) {
            // One comes as one goes, and it is as urgent as can be.
            const [caller, tokens] = later[turn % later.length]!;
            fairness.join(caller);
            waiting.push(claim(first.length + turn, caller, 2, turn * 1000));
            const next = fairness.next(waiting, turn * 1000)!;
            fairness.placed(next, turn * 1000);
            fairness.charge(next.caller, tokens);
            fairness.leave(next.caller);
            waiting = waiting.filter((each) => each !== next);
            expect(turn).toBeLessThan(600);
          }
        },
      ),
    );
  });
});
