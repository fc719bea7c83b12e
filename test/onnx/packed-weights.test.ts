import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ModelFolderError } from "../../server/onnx/errors.ts";
import { openPackedWeights } from "../../server/onnx/packed-weights.ts";
import type { WeightPlan } from "../../server/onnx/rewrite-result.ts";
import {
  dataFile,
  digestsOf,
  large,
  packedAtOnce,
  type WeightFolder,
  withChanges,
  writeWeights,
} from "./packed-weights-folders.ts";

import { kernels, later, openRoom, packedFiles, temporaries } from "./packed-weights-room.ts";

const { clear, newFolder, newWeights, open } = openRoom();
afterAll(clear);

describe("packed weights", () => {
  test("are the same bytes from memory, packed into the cache, and from the cache: those of each matrix packed at once", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const expected = await packedAtOnce(kernels, weights);
    const results = [await open(weights), await open(weights, { cacheFolder }), await open(weights, { cacheFolder })];
    expect(results.map(({ source }) => source)).toEqual(["memory", "packed", "cache"]);
    expect(results.map(({ reason }) => reason)).toEqual([undefined, undefined, undefined]);
    for (const packed of results) {
      expect(digestsOf(packed)).toEqual(expected);
      const types = [...weights.matrices].map(([name, { form }]) => [name, form.scaleType]);
      expect([...packed.scaleTypes]).toEqual(types);
    }
  });

  test("lie at whole pages of the memory that holds them", async () => {
    const packed = await open(newWeights());
    for (const name of packed.scaleTypes.keys()) {
      const { byteOffset, byteLength, buffer } = packed.locate(name);
      expect(byteOffset % 4096).toBe(0);
      expect(byteOffset + byteLength).toBeLessThanOrEqual(buffer.byteLength);
    }
    expect(() => packed.locate("absent")).toThrow(RangeError);
  });

  test("are the same bytes however many are packed at a time", async () => {
    const weights = newWeights();
    const expected = await packedAtOnce(kernels, weights);
    for (const parallel of [1, 3, 50]) {
      expect(digestsOf(await open(weights, { cacheFolder: newFolder(), parallel }))).toEqual(expected);
    }
  });

  test("of many megabytes are the same bytes, too", async () => {
    const weights = writeWeights(newFolder(), 1, large);
    const expected = await packedAtOnce(kernels, weights);
    const cacheFolder = newFolder();
    expect(digestsOf(await open(weights, { cacheFolder }))).toEqual(expected);
    expect(digestsOf(await open(weights))).toEqual(expected);
  });

  test("of no plans need neither cache nor weights", async () => {
    const packed = await openPackedWeights(kernels, newFolder(), [], { cacheFolder: newFolder() });
    expect([packed.source, packed.scaleTypes.size]).toEqual(["memory", 0]);
    packed.dispose();
    packed.dispose();
  });
});

describe("the name of packed weights", () => {
  test("is found from a folder that was moved, and from a copy", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    await open(weights, { cacheFolder });
    const [moved, copy] = [newFolder(), newFolder()];
    cpSync(weights.path, copy, { recursive: true });
    renameSync(weights.path, moved);
    expect((await open({ ...weights, path: moved }, { cacheFolder })).source).toBe("cache");
    expect((await open({ ...weights, path: copy }, { cacheFolder })).source).toBe("cache");
    expect(packedFiles(cacheFolder)).toHaveLength(1);
  });

  test("is another one when contents change under the same path, even with size and mtime as they were", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const before = await open(weights, { cacheFolder, ...later });
    const path = join(weights.path, dataFile);
    const { atime, mtime } = statSync(path);
    const bytes = readFileSync(path);
    bytes[1000]! ^= 0xff;
    writeFileSync(path, bytes);
    utimesSync(path, atime, mtime);
    const after = await open(weights, { cacheFolder, ...later });
    expect(after.source).toBe("packed");
    expect(digestsOf(after)).not.toEqual(digestsOf(before));
    expect(packedFiles(cacheFolder)).toHaveLength(2);
  });

  test("is another one for another form, range or name of the same contents, and for bytes in the graph that differ", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const change = (name: string, to: (plan: WeightPlan) => Partial<WeightPlan>): WeightFolder => {
      const plans = weights.plans.map((plan) => (plan.name === name ? { ...plan, ...to(plan) } : plan));
      return { ...weights, plans };
    };
    const variants = [
      weights,
      change("qkv", () => ({ name: "other" })),
      change("qkv", ({ weights: w }) => ({ weights: { ...w, offset: 4 } as typeof w })),
      change("wide", () => ({ columns: 1024, depth: 2048 })),
      change("down", ({ scales }) => ({
        scales: { bytes: new Uint8Array((scales as { bytes: Uint8Array }).bytes).fill(0) },
      })),
      { ...weights, plans: weights.plans.slice(1) },
    ];
    for (const variant of variants) expect((await open(variant, { cacheFolder })).source).toBe("packed");
    expect(packedFiles(cacheFolder)).toHaveLength(variants.length);
  });

  test("needs no reading of weights when their files are in the state in which they were hashed", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const first = await open(weights, { cacheFolder, ...later });
    // Other contents, and a memory that says they are the old ones in their new state: only who reads them can know.
    const path = join(weights.path, dataFile);
    writeFileSync(path, Buffer.alloc(statSync(path).size));
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    const remembered = join(cacheFolder, `${dev}-${ino}.sha256`);
    const { digest } = JSON.parse(readFileSync(remembered, "utf8"));
    const state = { device: `${dev}`, inode: `${ino}`, size: `${size}`, mtimeNs: `${mtimeNs}`, ctimeNs: `${ctimeNs}` };
    writeFileSync(remembered, JSON.stringify({ ...state, digest }));
    const told: number[] = [];
    const second = await open(weights, { cacheFolder, ...later, onProgress: (done) => told.push(done) });
    expect(second.source).toBe("cache");
    expect(digestsOf(second)).toEqual(digestsOf(first));
    expect(told).toEqual([]);
  });

  test("does not come from a digest of a file that was changed a moment before it was hashed", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    await open(weights, { cacheFolder });
    expect(readdirSync(cacheFolder).filter((name) => name.endsWith(".sha256"))).toEqual([]);
  });

  test("is not given to contents that change while they are hashed", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    await open(weights, { cacheFolder });
    const onProgress = () => utimesSync(join(weights.path, dataFile), 0, 0);
    await expect(open(weights, { cacheFolder, onProgress, ...later })).rejects.toThrow(/was changed or removed while/);
    expect(packedFiles(cacheFolder)).toHaveLength(1);
  });

  test.each([
    ["nothing", () => ""],
    ["torn", (text: string) => text.slice(0, -20)],
    ["no object", () => "null"],
    ["of no digest", (text: string) => text.replace("digest", "other")],
    ["a digest of another form", (text: string) => text.replace(/[0-9a-f]{64}/, "../../other")],
    ["of another state", (text: string) => text.replace(/"size":"\d+"/, '"size":"1"')],
  ])("is computed anew when what was remembered is %s", async (_, damage) => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    await open(weights, { cacheFolder, ...later });
    const remembered = readdirSync(cacheFolder).filter((name) => name.endsWith(".sha256"));
    expect(remembered).toHaveLength(2);
    const texts = remembered.map((name) => readFileSync(join(cacheFolder, name), "utf8"));
    remembered.forEach((name, index) => {
      writeFileSync(join(cacheFolder, name), damage(texts[index]!));
    });
    expect((await open(weights, { cacheFolder, ...later })).source).toBe("cache");
    expect(remembered.map((name) => readFileSync(join(cacheFolder, name), "utf8"))).toEqual(texts);
  });
});

describe("a file that is not what its name says", () => {
  const damages: [string, (file: Buffer) => Buffer, RegExp][] = [
    ["that is empty", () => Buffer.alloc(0), /no file of packed weights/],
    ["that is something else", (file) => Buffer.alloc(file.length, "x"), /no file of packed weights/],
    ["that was cut off", (file) => file.subarray(0, -1), /bytes in place of/],
    ["that is longer", (file) => Buffer.concat([file, Buffer.alloc(4096)]), /bytes in place of/],
    ["whose header alone is there", (file) => file.subarray(0, 4096), /bytes in place of/],
    ["whose version is damaged", (file) => changed(file, 9), /garbled/],
    ["whose layout is damaged", (file) => changed(file, 13), /garbled/],
    ["whose table's length is damaged", (file) => changed(file, 27), /garbled/],
    ["whose digest is damaged", (file) => changed(file, 40), /garbled/],
    ["whose table is damaged", (file) => changed(file, 100), /garbled/],
  ];
  test.each(damages)("%s is packed anew, and that is told", async (_, damage, problem) => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const expected = digestsOf(await open(weights, { cacheFolder }));
    const [name = ""] = packedFiles(cacheFolder);
    // A new file in its place: the old one is mapped here.
    const file = join(cacheFolder, name);
    const bytes = damage(readFileSync(file));
    rmSync(file);
    writeFileSync(file, bytes);
    const warnings: string[] = [];
    const again = await open(weights, { cacheFolder, onWarning: (message) => warnings.push(message) });
    expect([again.source, digestsOf(again)]).toEqual(["packed", expected]);
    expect(warnings).toEqual([expect.stringMatching(problem)]);
    expect((await open(weights, { cacheFolder })).source).toBe("cache");
  });

  test("is not taken for another model's, nor for another layout's", async () => {
    const [weights, other] = [newWeights(1), newWeights(2)];
    const cacheFolder = newFolder();
    const expected = digestsOf(await open(weights, { cacheFolder }));
    const [mine = ""] = packedFiles(cacheFolder);
    await open(other, { cacheFolder });
    const [theirs = ""] = packedFiles(cacheFolder).filter((name) => name !== mine);
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message);
    cpSync(join(cacheFolder, theirs), join(cacheFolder, "copy"));
    renameSync(join(cacheFolder, "copy"), join(cacheFolder, mine));
    expect(digestsOf(await open(weights, { cacheFolder, onWarning }))).toEqual(expected);
    cpSync(join(cacheFolder, mine), join(cacheFolder, mine.replace(/v\d+/, "v9999")));
    const next = withChanges(kernels, { layoutVersion: 9999 });
    expect((await open(weights, { cacheFolder, onWarning }, next)).source).toBe("packed");
    expect(warnings).toEqual([expect.stringMatching(/other weights/), expect.stringMatching(/another version/)]);
  });

  test("is replaced even when it is a folder that takes the place: then the weights are in memory", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const expected = digestsOf(await open(weights, { cacheFolder }));
    const [name = ""] = packedFiles(cacheFolder);
    rmSync(join(cacheFolder, name));
    cpSync(weights.path, join(cacheFolder, name), { recursive: true });
    const packed = await open(weights, { cacheFolder });
    expect([packed.source, packed.reason, digestsOf(packed)]).toEqual([
      "memory",
      expect.stringMatching(/cannot be read: EISDIR/),
      expected,
    ]);
    expect(temporaries(cacheFolder)).toEqual([]);
  });
});

describe("a cache that cannot be used", () => {
  test("leaves the weights in memory, with the reason and no path in it", async () => {
    const weights = newWeights();
    const expected = await packedAtOnce(kernels, weights);
    const file = newFolder();
    writeFileSync(file, "");
    for (const cacheFolder of [file, join(file, "below"), `${newFolder()}\0`]) {
      const packed = await open(weights, { cacheFolder });
      expect([packed.source, digestsOf(packed)]).toEqual(["memory", expected]);
      expect(packed.reason).toMatch(/folder of packed weights cannot be made/);
      expect(packed.reason).not.toContain(dirname(file));
    }
  });

  test("that cannot be mapped leaves the weights in memory", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const packed = await open(weights, { cacheFolder }, withChanges(kernels, { mapFile: () => null }));
    expect([packed.source, packed.reason]).toEqual(["memory", expect.stringMatching(/cannot be mapped/)]);
    expect(digestsOf(packed)).toEqual(await packedAtOnce(kernels, weights));
  });

  test("whose disk has no room for the file is not begun to be filled", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    // Petabytes, by what the library says of the forms; nothing is packed before that is known.
    const huge = withChanges(kernels, {
      packedBytes: (form) => 2 ** 50 + kernels.packedBytes(form),
      reserve: () => null,
      pack: () => Promise.reject(new Error("must not be called")),
    });
    await expect(open(weights, { cacheFolder }, huge)).rejects.toThrow(/no \d+ bytes of memory/);
    expect(readdirSync(cacheFolder)).toEqual([]);
  });
});

describe("weights that are not where the plans say", () => {
  test("are refused with every violation before anything is read", async () => {
    const { path, plans } = newWeights();
    const [qkv, up, down, head, wide] = plans as [WeightPlan, WeightPlan, WeightPlan, WeightPlan, WeightPlan];
    const wrong: WeightPlan[] = [
      { ...qkv, weights: { file: "absent.data", offset: 0, length: 12288 } },
      { ...up, scales: { file: dataFile, offset: 2 ** 40, length: 1120 } },
      { ...down, depth: 49 },
      { ...head, weights: { file: dataFile, offset: -1, length: 5120 } },
      { ...wide, zeroPoints: { file: dataFile, offset: 0.5, length: 8192 } },
    ];
    const error: unknown = await openPackedWeights(kernels, path, wrong).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ModelFolderError);
    expect((error as ModelFolderError).violations).toEqual([
      { field: "absent.data", description: "is not a file of the folder." },
      { field: "up", description: expect.stringMatching(/scales lie at 1099511627776 to .* which has \d+ bytes/) },
      { field: "down", description: expect.stringMatching(/weights have 792 bytes; .* has 1056/) },
      { field: "down", description: expect.stringMatching(/scales have/) },
      { field: "head", description: expect.stringMatching(/weights lie at -1 to 5119/) },
      { field: "wide", description: expect.stringMatching(/zero points lie at 0.5/) },
    ]);
  });

  test("are refused when a folder or another thing lies there", async () => {
    const weights = newWeights();
    rmSync(join(weights.path, dataFile));
    cpSync(newWeights().path, join(weights.path, dataFile), { recursive: true });
    await expect(open(weights)).rejects.toThrow(/model.onnx.data: is not a file/);
  });

  test("are refused in a form that the library does not pack, with the names of all", async () => {
    const weights = newWeights();
    const zeroPoints = { bytes: new Uint8Array(80) };
    const plans = weights.plans.map((plan) => (plan.name === "head" ? { ...plan, zeroPoints } : plan));
    await expect(open({ ...weights, plans }, { cacheFolder: newFolder() })).rejects.toThrow(/head: has a form/);
  });

  test.each([
    ["changed", "first"],
    ["changed", "last"],
    ["removed", "first"],
    ["removed", "last"],
  ])(
    "and that are %s while the %s of them is packed fail the model, and leave nothing in the cache",
    async (how, when) => {
      for (const cacheFolder of [undefined, newFolder()]) {
        const weights = newWeights();
        const path = join(weights.path, dataFile);
        let calls = 0;
        const meddling = withChanges(kernels, {
          pack: async (...args) => {
            if (++calls === (when === "first" ? 1 : weights.plans.length)) {
              if (how === "removed") rmSync(path);
              else utimesSync(path, 0, 0);
            }
            await kernels.pack(...args);
          },
        });
        await expect(open(weights, { cacheFolder, ...later }, meddling)).rejects.toThrow(/changed or removed while/);
        expect(calls).toBeLessThanOrEqual(weights.plans.length);
        if (cacheFolder) expect([...packedFiles(cacheFolder), ...temporaries(cacheFolder)]).toEqual([]);
      }
    },
  );
});

describe("packing", () => {
  test("tells how far it is, never less than before, and ends at the total", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    const size = (name: string) => statSync(join(weights.path, name)).size;
    const packed = weights.plans.reduce((sum, { name }) => sum + weights.matrices.get(name)!.weights.length, 0);
    const hashed = size(dataFile) + size("zero-points.data");
    for (const [options, expected] of [
      [{}, packed],
      [{ cacheFolder }, hashed + packed],
      [{ cacheFolder }, hashed + packed], // hashed, and found
    ] as const) {
      const told: [number, number][] = [];
      await open(weights, { ...options, onProgress: (done, total) => told.push([done, total]) });
      expect(told.length).toBeGreaterThan(1);
      told.forEach(([done, total], index) => {
        expect(total).toBe(expected);
        expect(done).toBeGreaterThan(told[index - 1]?.[0] ?? 0);
      });
      expect(told.at(-1)).toEqual([expected, expected]);
    }
  });

  test("that is aborted ends with the signal's reason, with nothing running and nothing left", async () => {
    for (const at of [1, 3, 5]) {
      const weights = newWeights();
      const cacheFolder = newFolder();
      const controller = new AbortController();
      const reason = new Error("enough");
      let [calls, running] = [0, 0];
      const watched = withChanges(kernels, {
        pack: async (...args) => {
          running++;
          if (++calls === at) controller.abort(reason);
          await kernels.pack(...args);
          running--;
        },
      });
      await expect(open(weights, { cacheFolder, signal: controller.signal }, watched)).rejects.toBe(reason);
      expect([running, ...readdirSync(cacheFolder)]).toEqual([0]);
      await expect(open(weights, { signal: controller.signal })).rejects.toBe(reason);
    }
  });

  test("that fails in the library fails the model, begins nothing more and leaves nothing, not even what was of no use", async () => {
    const weights = newWeights();
    const cacheFolder = newFolder();
    await open(weights, { cacheFolder });
    for (const name of packedFiles(cacheFolder)) {
      rmSync(join(cacheFolder, name)); // it is mapped here: a new one
      writeFileSync(join(cacheFolder, name), "torn");
    }
    let calls = 0;
    const failing = withChanges(kernels, {
      pack: async (...args) => {
        if (++calls === 1) throw new RangeError("broken");
        await kernels.pack(...args);
      },
    });
    await expect(open(weights, { cacheFolder, parallel: 2 }, failing)).rejects.toThrow(new RangeError("broken"));
    expect(calls).toBeLessThan(weights.plans.length - 1);
    expect(readdirSync(cacheFolder)).toEqual([]);
  });
});

/** A copy with one byte changed. */
function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
}
