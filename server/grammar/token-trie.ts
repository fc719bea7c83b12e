// Tokens by their bytes, as a tree in one array: what tokens have in common at their beginning is looked at once.

export interface TrieToken {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** Nodes in the order of a walk from left to right, parents first; node i and all below it are i to `ends[i]` - 1. */
export interface TokenTrie {
  readonly bytes: Uint8Array;
  /** From 1, for the first byte of a token. */
  readonly depths: Uint16Array;
  readonly ends: Uint32Array;
  /** The tokens that end at node i are `ids` from `idsFrom[i]` to `idsFrom[i + 1]`. */
  readonly idsFrom: Uint32Array;
  readonly ids: Uint32Array;
  /** Characters of the longest token below i, beyond those that are whole at i; one that is not whole counts. */
  readonly rests: Uint16Array;
  readonly depth: number;
}

export function tokenTrie(tokens: readonly TrieToken[]): TokenTrie {
  const sorted = tokens.filter(({ bytes }) => bytes.length > 0).sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const bytes: number[] = [];
  const depths: number[] = [];
  const ends: number[] = [];
  const idsFrom: number[] = [];
  const ids: number[] = [];
  const rests: number[] = [];
  const path: number[] = []; // the nodes of the token before
  let before = new Uint8Array(0);
  for (const token of sorted) {
    let common = 0;
    while (common < before.length && common < token.bytes.length && before[common] === token.bytes[common]) common++;
    for (const closed of path.splice(common)) ends[closed] = bytes.length;
    for (let depth = common; depth < token.bytes.length; depth++) {
      path.push(bytes.length);
      bytes.push(token.bytes[depth]!);
      depths.push(depth + 1);
      idsFrom.push(ids.length);
      rests.push(0);
    }
    ids.push(token.id);
    let rest = 0;
    for (let depth = token.bytes.length; depth > 0; depth--) {
      const within = depth < token.bytes.length && (token.bytes[depth]! & 0xc0) === 0x80;
      rests[path[depth - 1]!] = Math.max(rests[path[depth - 1]!]!, rest + (within ? 1 : 0));
      // A byte that goes on with no character begins one.
      if ((token.bytes[depth - 1]! & 0xc0) !== 0x80) rest++;
    }
    before = Uint8Array.from(token.bytes);
  }
  for (const open of path) ends[open] = bytes.length;
  idsFrom.push(ids.length);
  return {
    bytes: Uint8Array.from(bytes),
    depths: Uint16Array.from(depths),
    ends: Uint32Array.from(ends),
    idsFrom: Uint32Array.from(idsFrom),
    ids: Uint32Array.from(ids),
    rests: Uint16Array.from(rests),
    depth: depths.reduce((a, b) => Math.max(a, b), 0),
  };
}
