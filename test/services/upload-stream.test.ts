// How much one upload may hold, by its messages alone. The order of messages is tested end to end.
import { create } from "@bufbuild/protobuf";
import { ApiError, LogModelRequestSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { incomingFiles } from "../../server/services/upload-stream.ts";

const SHA256 = "0".repeat(64);

/** References to `count` files. */
async function* references(count: number, path: (index: number) => string, sizeBytes = 1n) {
  for (let i = 0; i < count; i += 1)
    yield create(LogModelRequestSchema, {
      message: { case: "fileReference", value: { path: path(i), sizeBytes, sha256: SHA256 } },
    });
  yield create(LogModelRequestSchema, { message: { case: "end", value: { fileCount: count } } });
}

/** How many files came through, or why not all. */
async function take(messages: ReturnType<typeof references>, maxBytes = 1e9): Promise<number | string> {
  let count = 0;
  try {
    for await (const { path } of incomingFiles(messages, maxBytes)) count += path === "" ? 0 : 1;
    return count;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return `${error.reason}: ${error.message}`;
  }
}

test("ten thousand files are taken, and one more is not", async () => {
  expect(await take(references(10_000, (i) => `f${i}`))).toBe(10_000);
  expect(await take(references(10_001, (i) => `f${i}`))).toContain(
    "LIMIT_EXCEEDED: the model has more than 10000 files",
  );
});

test("paths are at most a mebibyte together, so that the list of files fits a message", async () => {
  const long = (i: number) => `${String(i).padStart(4, "0")}${"x".repeat(1020)}`;
  expect(await take(references(1024, long))).toBe(1024);
  expect(await take(references(1025, long))).toContain(
    "LIMIT_EXCEEDED: the model has paths of more than 1048576 bytes",
  );
});

test("files that are referred to count like those that are sent", async () => {
  expect(
    await take(
      references(10, (i) => `f${i}`, 10n),
      100,
    ),
  ).toBe(10);
  expect(
    await take(
      references(11, (i) => `f${i}`, 10n),
      100,
    ),
  ).toContain("LIMIT_EXCEEDED: the model has more than 100 bytes");
});
