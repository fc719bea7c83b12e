// The bytes that a piece of a vocabulary stands for, by the way in which the tokenizer's decoder spells them: bytes as
// <0x0A> and blanks as ▁ (SentencePiece), or every byte as a letter of its own (GPT-2). It decodes no text.

export type PieceForm = "byte-level" | "metaspace" | "plain";

/** A decoder of tokenizer.json. Null: it changes text in ways that depend on what stands around a token. */
export function pieceForm(decoder: unknown): PieceForm | null {
  const types = decodersIn(decoder);
  if (types.some(({ type }) => type === "ByteLevel")) return "byte-level";
  const known = ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"];
  if (!types.every(({ type }) => known.includes(String(type)))) return null;
  const replaced = types.filter(({ type }) => type === "Replace");
  if (!replaced.every(({ pattern, content }) => isBlankMark(pattern) && content === " ")) return null;
  const blanks = replaced.length > 0 || types.some(({ type }) => type === "Metaspace");
  return blanks ? "metaspace" : "plain";
}

export function pieceBytes(piece: string, form: PieceForm): Uint8Array {
  if (form === "byte-level") {
    const bytes = [...piece].map((letter) => byteOfLetter.get(letter));
    if (bytes.every((byte) => byte !== undefined)) return Uint8Array.from(bytes);
    return new TextEncoder().encode(piece);
  }
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return new TextEncoder().encode(form === "metaspace" ? piece.replaceAll("▁", " ") : piece);
}

function decodersIn(decoder: unknown): Readonly<Record<string, unknown>>[] {
  if (typeof decoder !== "object" || decoder === null) return [];
  const config = decoder as Readonly<Record<string, unknown>>;
  return config.type === "Sequence" && Array.isArray(config.decoders) ? config.decoders.flatMap(decodersIn) : [config];
}

function isBlankMark(pattern: unknown): boolean {
  return typeof pattern === "object" && pattern !== null && (pattern as { String?: unknown }).String === "▁";
}

/** GPT-2's letters: printable bytes of Latin-1 are themselves, the others the code points from 256 on, in order. */
const byteOfLetter: ReadonlyMap<string, number> = (() => {
  const letters = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    letters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return letters;
})();
