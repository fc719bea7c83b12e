// What a header may not say for the server's own sake.
import { create } from "@bufbuild/protobuf";
import { LogModelHeaderSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { checkHeader } from "../../server/store/model-header.ts";

test("ten thousand params, tags and entries of metadata are taken, one more is refused", () => {
  const map = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
  const header = (count: number) =>
    create(LogModelHeaderSchema, { name: "m", params: map(4000), tags: map(4000), metadata: map(count) });
  expect(() => checkHeader(header(2000))).not.toThrow();
  expect(() => checkHeader(header(2001))).toThrow(
    /header\.params: are, with tags and metadata, 10001, more than 10000/,
  );
});
