// Large bytes on the wire: the same as protobuf-es would write, in one copy.
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DownloadArtifactResponseSchema, LogModelRequestSchema, LogModelResponseSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { bytesEncoder } from "../../proto/bytes-message.ts";

/** Both encodings; the first undefined where it is not for the message. */
function both<D extends DescMessage>(desc: D, init: MessageInitShape<D>) {
  const message = create(desc, init);
  return [bytesEncoder(desc)?.(message), Buffer.from(toBinary(desc, message)), message] as const;
}

test.each([4096, 16_383, 16_384, 262_144, 2_097_152, 3_000_000])(
  "%s bytes are encoded as protobuf-es encodes them",
  (size) => {
    const data = new Uint8Array(size).map((_, i) => (i * 31) % 251);
    for (const [ours, theirs] of [
      both(LogModelRequestSchema, { message: { case: "fileChunk", value: { data } } }),
      both(DownloadArtifactResponseSchema, { message: { case: "data", value: data } }),
    ])
      expect(ours?.equals(theirs)).toBe(true);
  },
);

test("every other message is left to protobuf-es", () => {
  const data = new Uint8Array(10_000);
  expect(bytesEncoder(LogModelResponseSchema)).toBeUndefined();
  const others: MessageInitShape<typeof LogModelRequestSchema>[] = [
    {},
    { message: { case: "fileChunk", value: { data: new Uint8Array(10) } } },
    { message: { case: "fileChunk", value: {} } },
    { message: { case: "fileEnd", value: { sha256: "x".repeat(10_000) } } },
  ];
  for (const init of others) expect(both(LogModelRequestSchema, init)[0]).toBeUndefined();
  const unknown = { no: 99, wireType: 0, data: new Uint8Array([1]) };
  const [, bytes] = both(LogModelRequestSchema, { message: { case: "fileChunk", value: { data } } });
  const message = fromBinary(LogModelRequestSchema, bytes);
  message.$unknown = [unknown];
  expect(bytesEncoder(LogModelRequestSchema)?.(message)).toBeUndefined();
});
