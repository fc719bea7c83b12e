// Copies of model folders whose embedding has a row that is not a number, or infinite: what overflowed training, a torn
// download or a bad conversion leave behind. Everything else of the copy is as it was.

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeModel } from "../../server/onnx/graph-proto.ts";
import { sourceOf } from "../../server/onnx/graph-proto-tensors.ts";
import { readModelFolder } from "../../server/onnx/model-folder.ts";

/** Makes `to` a copy of `from` in which the embedding of `token` is `value`, all of it or its first `count` numbers. */
export async function breakEmbedding(
  from: string,
  to: string,
  token: number,
  value: number,
  count = Number.POSITIVE_INFINITY,
): Promise<void> {
  cpSync(from, to, { recursive: true });
  const { config } = await readModelFolder(to);
  const path = join(to, config.decoder.fileName);
  const bytes = readFileSync(path);
  const { graph } = decodeModel(bytes, "model.onnx");
  const lookup = graph!.node.find(
    ({ opType, input }) => opType === "Gather" && input[1] === config.decoder.inputs.inputIds,
  );
  const table = graph!.initializer.find(({ name }) => name === lookup?.input[0]);
  const source = table && sourceOf(table);
  if (!table || !source || table.dataType !== 1) throw new Error(`${from} has no embedding in float32.`);
  const width = Number(table.dims[1]);
  const numbers = new Float32Array(Math.min(width, count)).fill(value);
  const row = Buffer.from(numbers.buffer);
  const offset = token * width * 4;
  if ("bytes" in source) {
    source.bytes.set(row, offset); // a view of what was read
    writeFileSync(path, bytes);
    return;
  }
  const data = readFileSync(join(to, source.file));
  data.set(row, source.offset + offset);
  writeFileSync(join(to, source.file), data);
}
