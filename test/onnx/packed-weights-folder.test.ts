import { readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { withChanges } from "./packed-weights-folders.ts";

import { age, day, kernels, later, minute, openRoom, packedFiles } from "./packed-weights-room.ts";

const { clear, newFolder, newWeights, open } = openRoom();
afterAll(clear);

describe("the folder of the cache", () => {
  /** Two packed files and the digests of their sources. */
  async function twoModels() {
    const cacheFolder = newFolder();
    const [old, current] = [newWeights(1), newWeights(2)];
    await open(old, { cacheFolder, ...later });
    const [oldFile = ""] = packedFiles(cacheFolder);
    return { cacheFolder, old, current, oldFile: join(cacheFolder, oldFile) };
  }

  test("loses what nobody has used for 30 days, and keeps what was used since", async () => {
    const { cacheFolder, old, current, oldFile } = await twoModels();
    for (const name of readdirSync(cacheFolder)) age(join(cacheFolder, name), 31 * day);
    await open(old, { cacheFolder, ...later });
    await open(current, { cacheFolder, ...later });
    expect(packedFiles(cacheFolder)).toHaveLength(2);
    for (const name of readdirSync(cacheFolder))
      if (!name.includes(basename(oldFile))) age(join(cacheFolder, name), 29 * day);
    age(oldFile, 31 * day);
    await open(newWeights(3), { cacheFolder });
    expect(packedFiles(cacheFolder)).toHaveLength(2);
    expect(packedFiles(cacheFolder)).not.toContain(basename(oldFile));
  });

  test("loses digests that nobody has used for 30 days, and keeps what was used since", async () => {
    const { cacheFolder, old, current } = await twoModels();
    const digests = () => readdirSync(cacheFolder).filter((name) => name.endsWith(".sha256"));
    const ageAll = () => {
      for (const name of digests()) age(join(cacheFolder, name), 31 * day);
    };
    ageAll();
    await open(old, { cacheFolder, ...later });
    expect(digests()).toHaveLength(2);
    ageAll();
    await open(current, { cacheFolder });
    expect(digests()).toEqual([]);
  });

  test("loses files of another layout, but not those used within the hour", async () => {
    const { cacheFolder, current, oldFile } = await twoModels();
    const next = withChanges(kernels, { layoutVersion: kernels.layoutVersion + 1 });
    await open(current, { cacheFolder }, next);
    expect(packedFiles(cacheFolder)).toContain(basename(oldFile));
    age(oldFile, 61 * minute);
    await open(current, { cacheFolder }, next);
    expect(packedFiles(cacheFolder)).not.toContain(basename(oldFile));
  });

  test("within a limit loses the least recently used first, and never what was used within the hour", async () => {
    const cacheFolder = newFolder();
    const seeds = [1, 2, 3];
    const files: string[] = [];
    for (const seed of seeds) {
      await open(newWeights(seed), { cacheFolder });
      files.push(packedFiles(cacheFolder).find((name) => !files.includes(name))!);
    }
    const [first = "", second = "", third = ""] = files;
    age(join(cacheFolder, first), 5 * day);
    age(join(cacheFolder, second), 9 * day);
    age(join(cacheFolder, third), 10 * minute);
    const { size } = statSync(join(cacheFolder, first));
    await open(newWeights(4), { cacheFolder, maxBytes: 3 * size });
    expect(packedFiles(cacheFolder)).toHaveLength(3);
    expect(packedFiles(cacheFolder)).not.toContain(second);
    await open(newWeights(5), { cacheFolder, maxBytes: 1 });
    expect(packedFiles(cacheFolder)).toHaveLength(3);
    expect(packedFiles(cacheFolder)).toContain(third);
  });

  test("loses what dead processes were writing, and keeps what others write, and what is not of the cache", async () => {
    const { cacheFolder, current, oldFile } = await twoModels();
    const dead = 2 ** 30; // more than any system gives
    const keep = [
      `${basename(oldFile)}.${dead}.0a.tmp`,
      `${basename(oldFile)}.${process.pid}.0a.tmp`,
      "notes.txt",
      "1.packed",
    ];
    const lose = [
      `${basename(oldFile)}.${dead}.0b.tmp`,
      `12-34.sha256.${dead}.0c.tmp`,
      `${basename(oldFile)}.${process.pid}.0d.tmp`,
    ];
    for (const name of [...keep, ...lose]) writeFileSync(join(cacheFolder, name), "");
    age(join(cacheFolder, keep[1]!), 30 * minute);
    for (const name of keep.slice(2)) age(join(cacheFolder, name), 99 * day);
    for (const name of lose.slice(0, 2)) age(join(cacheFolder, name), 11 * minute);
    age(join(cacheFolder, lose[2]!), 61 * minute);
    await open(current, { cacheFolder });
    const left = readdirSync(cacheFolder);
    expect(left).toEqual(expect.arrayContaining(keep));
    for (const name of lose) expect(left).not.toContain(name);
  });
});
