// Writes what a caller's iterable gives into a call, as fast as the other side takes it. It must never decide how the
// call ends.
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";

/** The writing half of a grpc-js call. */
interface WritableCall<T> {
  write(message: T): boolean;
  end(): unknown;
  once(event: "drain", listener: () => void): unknown;
  off(event: "drain", listener: () => void): unknown;
}

/**
 * Sends everything and then half-closes. When `over` aborts (the call has ended, whoever ended it), it takes nothing
 * more from the source and runs the source's `return()`, so that its `finally` blocks close what they opened.
 *
 * A source that is parked in an `await` of its own cannot be woken; its `return()` runs as soon as that await ends, and
 * nobody waits for it.
 *
 * @throws what the source throws.
 */
export async function send<D extends DescMessage>(
  call: WritableCall<MessageShape<D>>,
  schema: D,
  source: AsyncIterable<MessageInitShape<D>>,
  over: AbortSignal,
): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  // One listener for the whole call; `wake` ends whatever is being waited for just now.
  let wake = () => {};
  const onOver = () => wake();
  over.addEventListener("abort", onOver, { once: true });
  let parked = false;
  let exhausted = false;
  try {
    while (!over.aborted) {
      parked = true;
      const next = await new Promise<IteratorResult<MessageInitShape<D>> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
      if (next === undefined) return;
      parked = false;
      if (next.done) {
        exhausted = true;
        break;
      }
      if (over.aborted) return;
      if (!call.write(create(schema, next.value))) await drained();
    }
    if (!over.aborted) call.end();
  } catch (error) {
    exhausted = true; // an iterator that threw is finished
    throw error;
  } finally {
    over.removeEventListener("abort", onOver);
    if (!exhausted) {
      const closing = Promise.resolve(iterator.return?.()).then(ignore, ignore);
      if (!parked) await closing;
    }
  }

  function drained(): Promise<void> {
    return new Promise((resolve) => {
      wake = () => {
        call.off("drain", wake);
        resolve();
      };
      call.once("drain", wake);
    });
  }
}

function ignore(): void {}
