// What ended and parked sequences have left in the runner's cache, by whom it may be used, and what is given up first. It
// keeps tokens and handles; it never calls the runner and never sees memory.

import type { CacheHandle } from "../onnx/model-runner.ts";

/** A place in the cache that no sequence owns. */
export interface Resident {
  readonly handle: CacheHandle;
  /** Exactly those whose keys and values are in it. */
  readonly tokens: Int32Array;
  /** Who may use it: sequences with the same value. */
  readonly scope: unknown;
}

export class PrefixCache {
  /** Least recently used first. */
  readonly #residents: Resident[] = [];

  get residents(): readonly Resident[] {
    return this.#residents;
  }

  /**
   * Takes in what a sequence leaves. What another resident contains wholly is of no use beside it.
   * @returns the handles that are of no use now: the caller gives them back
   */
  keep(resident: Resident): CacheHandle[] {
    const same = this.#residents.filter((other) => other.scope === resident.scope);
    const larger = same.find((other) => contains(other.tokens, resident.tokens));
    if (larger) {
      this.#touch(larger);
      return [resident.handle];
    }
    const smaller = same.filter((other) => contains(resident.tokens, other.tokens));
    for (const other of smaller) this.take(other);
    this.#residents.push(resident);
    return smaller.map((other) => other.handle);
  }

  /** The resident that has most of the beginning of `tokens`, the latest used of equals, and how many of them. */
  find(tokens: Int32Array, scope: unknown): { readonly resident: Resident; readonly length: number } | undefined {
    let found: { resident: Resident; length: number } | undefined;
    for (const resident of this.#residents) {
      if (resident.scope !== scope) continue;
      const length = commonLength(resident.tokens, tokens);
      if (length > 0 && length >= (found?.length ?? 0)) found = { resident, length };
    }
    if (found) this.#touch(found.resident);
    return found;
  }

  /** As `find`, without counting as a use: tokens that could be taken over. */
  peek(tokens: Int32Array, scope: unknown): number {
    return this.#residents.reduce(
      (most, resident) => (resident.scope === scope ? Math.max(most, commonLength(resident.tokens, tokens)) : most),
      0,
    );
  }

  /** Removes a resident: its handle is the caller's. */
  take(resident: Resident): CacheHandle {
    this.#residents.splice(this.#residents.indexOf(resident), 1);
    return resident.handle;
  }

  /** Removes the one that was used least recently, other than `spared`. */
  evict(spared?: Resident): CacheHandle | undefined {
    const oldest = this.#residents.find((resident) => resident !== spared);
    return oldest && this.take(oldest);
  }

  #touch(resident: Resident): void {
    this.take(resident);
    this.#residents.push(resident);
  }
}

/** Length of the beginning that both have. */
export function commonLength(a: Int32Array, b: Int32Array): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}

function contains(whole: Int32Array, part: Int32Array): boolean {
  return part.length <= whole.length && commonLength(whole, part) === part.length;
}
