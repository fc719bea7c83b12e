// Which buffers of tensors go from one thread to the other, so that their bytes are not copied. Posting a view copies
// all of its buffer, however little of it the view shows.

import type { GraphTensor, Value } from "./types.ts";

/**
 * Smaller ones of a caller's are copied: Node cuts small buffers out of shared ones, and reads from sockets into shared
 * ones of 64 KiB, which must never be taken.
 */
const smallestTaken = 1024 * 1024;
/** Posting a small buffer of one's own is faster than handing it over. */
const smallestMoved = 4096;

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
    const copy = new Uint8Array(data);
    if (copy.length >= smallestMoved) transfer.add(copy.buffer);
    return { name, type, dims, data: copy };
  });
  return { feeds: sent, transfer: [...transfer] };
}

/** The buffers of outputs that are worth it. Each tensor has one of its own. */
export function buffersOf(values: readonly Value[]): ArrayBuffer[] {
  return values.flatMap((value): ArrayBuffer[] => {
    if (value.kind === "sequence") return buffersOf(value.items);
    if (value.kind !== "tensor") return buffersOf([value.keys, value.values]);
    const { data } = value;
    return data instanceof Uint8Array && data.length >= smallestMoved ? [data.buffer as ArrayBuffer] : [];
  });
}
