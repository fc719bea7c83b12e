// What health says of a model while it comes, serves and goes, and who is waited for. The host is real; its worker is a
// stand-in that loads anything at once and ends when it is asked to do something.
import { afterEach, expect, test } from "vitest";
import { createInferenceHost, type InferenceHost } from "../../server/inference/host.ts";
import { HealthService } from "../../server/rpc/health.ts";
import { ModelLife, type Opened, type Opening } from "../../server/services/model-life.ts";

const WORKER = new URL("../inference/dying-worker.mjs", import.meta.url);
const MODEL = { modelId: "m-1", name: "one", modelUri: "models:/m-1" } as Parameters<ModelLife["hold"]>[0];
const NEED = { weightsBytes: 10, bytesPerToken: 0, contextLength: 0, mostTokens: 0 };

const hosts: InferenceHost[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.close();
});

/** Health that remembers what it was told. */
class Told extends HealthService {
  readonly all: string[] = [];
  override set(...[name, status]: Parameters<HealthService["set"]>): void {
    this.all.push(`${name} ${status}`);
    super.set(name, status);
  }
}

function newLife() {
  const host = createInferenceHost({ worker: WORKER });
  hosts.push(host);
  const health = new Told();
  const opening: Opening = {
    need: async () => NEED,
    open: async () => ({ kind: "llm", bytes: 10, info: await host.load("m-1", "anywhere") }) as Opened,
  };
  return { host, health, opening, life: new ModelLife(host, health, { memoryBytes: 100 }) };
}

test("health says NOT_SERVING while a model is loaded, SERVING when it is, and NOT_SERVING when it has left", async () => {
  const { life, health, opening } = newLife();
  const use = new AbortController();
  const loading = life.hold(MODEL, opening, use.signal);
  expect(health.all).toEqual(["models:/m-1 NOT_SERVING"]);
  await loading;
  expect(health.all.at(-1)).toBe("models:/m-1 SERVING");
  use.abort();
  await life.unload("m-1");
  expect(health.all.at(-1)).toBe("models:/m-1 NOT_SERVING");
  expect(life.figures()).toMatchObject({ residents: [], loads: 1, failedLoads: 0, left: { asked: 1 } });
});

test("a worker that dies takes every model with it, and the next call loads again", async () => {
  const { host, life, health, opening } = newLife();
  const use = new AbortController();
  await life.hold(MODEL, opening, use.signal);
  await expect(host.inspect("anything")).rejects.toMatchObject({ reason: "WORKER_DIED" });
  expect(health.all.at(-1)).toBe("models:/m-1 NOT_SERVING");
  expect(life.figures()).toMatchObject({ residents: [], left: { worker: 1 } });
  await life.hold(MODEL, opening, new AbortController().signal);
  expect(health.all.at(-1)).toBe("models:/m-1 SERVING");
  // The caller of the first one ends only now; the second one is not its to give back.
  use.abort();
  expect(life.get("m-1")).toMatchObject({ users: 1, state: "ready" });
});

test("a model is not freed while a call has looked it up and asked it nothing yet", async () => {
  const { host, life, opening } = newLife();
  const use = new AbortController();
  await life.hold(MODEL, opening, use.signal);
  const gone = life.unload("m-1");
  // As long as messages to the worker and back take: it would have been freed by then.
  await host.load("m-2", "anywhere");
  expect(host.models().map(({ key }) => key)).toContain("m-1");
  use.abort();
  await host.close();
  await gone;
  expect(life.figures().residents).toEqual([]);
});

test("a model that cannot be loaded leaves nothing behind, and its next caller tries again", async () => {
  const { life, health, opening } = newLife();
  const broken: Opening = { ...opening, open: () => Promise.reject(new Error("broken")) };
  const calls = [1, 2].map(() => life.hold(MODEL, broken, new AbortController().signal));
  for (const call of calls) await expect(call).rejects.toThrow("broken");
  expect(health.all).toEqual(["models:/m-1 NOT_SERVING"]);
  expect(life.figures()).toMatchObject({ residents: [], failedLoads: 1 });
  await life.hold(MODEL, opening, new AbortController().signal);
  expect(life.figures()).toMatchObject({ loads: 1, residents: [{ modelId: "m-1", bytes: 10 }] });
});

test("a caller that leaves while a model is loaded is not waited for, and the model stays", async () => {
  const { life, opening } = newLife();
  let open = () => {};
  const door = new Promise<void>((resolve) => {
    open = resolve;
  });
  const slow: Opening = { ...opening, open: (...args) => door.then(() => opening.open(...args)) };
  const use = new AbortController();
  const left = life.hold(MODEL, slow, use.signal);
  use.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  expect(life.get("m-1")).toMatchObject({ users: 0, state: "loading" });
  open();
  await life.hold(MODEL, slow, new AbortController().signal);
  expect(life.get("m-1")).toMatchObject({ users: 1, state: "ready" });
});
