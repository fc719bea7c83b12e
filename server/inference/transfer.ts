// Which buffers of tensors go from one thread to the other, so that their bytes are not copied. Posting a view copies
// all of its buffer, however little of it the view shows.

import type { GraphOutput, GraphTensor, Value } from "./types.ts";

/** Smaller ones are copied: that is faster, and Node's shared pool of small buffers must never be taken. */
const smallestTaken = 64 * 1024;

/**
 * The feeds as they are posted. A buffer is taken when everything in it may be, and the feeds fill at least half of it;
 * other bytes are copied into buffers of their own.
 */
export function feedsToSend(feeds: readonly GraphTensor[]): { feeds: GraphTensor[]; transfer: ArrayBuffer[] } {
  const takeable = new Map<ArrayBuffer, number>();
  for (const { data, mayTake } of feeds)
    if (mayTake && data instanceof Uint8Array && data.buffer instanceof ArrayBuffer)
      takeable.set(data.buffer, (takeable.get(data.buffer) ?? 0) + data.length);
  for (const { data, mayTake } of feeds)
    if (!mayTake && data instanceof Uint8Array && data.buffer instanceof ArrayBuffer) takeable.delete(data.buffer);
  const transfer = new Set<ArrayBuffer>();
  for (const [buffer, used] of takeable)
    if (buffer.byteLength >= smallestTaken && used * 2 >= buffer.byteLength) transfer.add(buffer);

  const sent = feeds.map(({ name, type, dims, data }): GraphTensor => {
    if (!(data instanceof Uint8Array) || transfer.has(data.buffer as ArrayBuffer)) return { name, type, dims, data };
    const copy = Uint8Array.from(data);
    transfer.add(copy.buffer);
    return { name, type, dims, data: copy };
  });
  return { feeds: sent, transfer: [...transfer] };
}

/** The buffers of outputs. Each tensor has one of its own. */
export function transferable(values: readonly (GraphOutput | Value)[]): ArrayBuffer[] {
  return values.flatMap((value): ArrayBuffer[] => {
    if (value.kind === "sequence") return transferable(value.items);
    if (value.kind === "map") return transferable([value.keys, value.values]);
    return value.data instanceof Uint8Array ? [value.data.buffer as ArrayBuffer] : [];
  });
}
