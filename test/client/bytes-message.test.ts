// Large bytes on the wire: the same as protobuf-es would write, in one copy.
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DownloadArtifactResponseSchema,
  LogModelRequestSchema,
  LogModelResponseSchema,
  PredictRequestSchema,
} from "@modelwire/proto";
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
  expect(bytesEncoder(LogModelResponseSchema)).toBeUndefined();
  const others: MessageInitShape<typeof LogModelRequestSchema>[] = [
    {},
    { message: { case: "fileChunk", value: { data: new Uint8Array(10) } } },
    { message: { case: "fileChunk", value: {} } },
    { message: { case: "fileEnd", value: { sha256: "x".repeat(10_000) } } },
  ];
  for (const init of others) expect(both(LogModelRequestSchema, init)[0]).toBeUndefined();
});

test("unknown fields go along", () => {
  const [, bytes] = both(LogModelRequestSchema, {
    message: { case: "fileChunk", value: { data: new Uint8Array(10_000) } },
  });
  const message = fromBinary(LogModelRequestSchema, bytes);
  message.$unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];
  const encoded = bytesEncoder(LogModelRequestSchema)?.(message);
  expect(fromBinary(LogModelRequestSchema, Uint8Array.from(encoded ?? []))).toEqual(
    fromBinary(LogModelRequestSchema, toBinary(LogModelRequestSchema, message)),
  );
});

const tensor = (size: number, fill: number) => ({
  type: 1,
  shape: [BigInt(size / 4)],
  data: new Uint8Array(size).fill(fill),
});
const value = (size: number) => ({ kind: { case: "tensorValue" as const, value: tensor(size, 7) } });

test("tensors lie anywhere in a message, large ones beside small ones", () => {
  const named = [8000, 40, 100_000, 0].map((size, i) => ({ name: `t${i}`, tensor: tensor(size, i + 1) }));
  const list = { values: [value(80), value(8000), { kind: { case: "boolValue" as const, value: true } }] };
  const entries = [
    { key: "deep", value: { kind: { case: "listValue" as const, value: list } } },
    { key: "bytes", value: { kind: { case: "binaryValue" as const, value: new Uint8Array(5000).fill(3) } } },
    { key: "text", value: { kind: { case: "stringValue" as const, value: "x".repeat(9000) } } },
  ];
  const messages: MessageInitShape<typeof PredictRequestSchema>[] = [
    { model: "m", input: { form: { case: "tensors", value: { tensors: named } } }, strict: true },
    { input: { form: { case: "inputs", value: { kind: { case: "objectValue", value: { entries } } } } } },
    { model: "m", params: { entries } },
  ];
  for (const init of messages) {
    const [ours, theirs, message] = both(PredictRequestSchema, init);
    expect(ours?.length).toBe(theirs.length);
    expect(fromBinary(PredictRequestSchema, Uint8Array.from(ours ?? []))).toEqual(message);
  }
});

test("a small tensor is left to protobuf-es", () => {
  const tensors = [{ name: "x", tensor: tensor(64, 1) }];
  expect(both(PredictRequestSchema, { input: { form: { case: "tensors", value: { tensors } } } })[0]).toBeUndefined();
});
