// Many listeners on one AbortSignal, of which the signal sees one. It must never hold on to a signal.

/** What to call when a signal aborts, for each signal that somebody waits for. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when the signal aborts, or right away when it has. Returns what takes the listener off.
 *
 * A program often gives the same signal to many calls at once, and Node.js warns of a leak at the eleventh listener of a signal.
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const listeners = waiting.get(signal) ?? new Set();
  if (listeners.size === 0) {
    waiting.set(signal, listeners);
    signal.addEventListener("abort", fire, { once: true });
  }
  const own = () => listener();
  listeners.add(own);
  return () => {
    if (listeners.delete(own) && listeners.size === 0) {
      waiting.delete(signal);
      signal.removeEventListener("abort", fire);
    }
  };
}

function fire(this: AbortSignal): void {
  const listeners = waiting.get(this) ?? [];
  waiting.delete(this);
  for (const listener of [...listeners]) listener();
}
