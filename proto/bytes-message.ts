// Messages that are hardly more than bytes, such as a piece of a file, put on the wire with one copy. protobuf-es makes
// four of them, into memory that it takes anew each time. It must never know a particular message.
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";

/** Below this protobuf-es is as fast. */
const LARGE_BYTES = 4096;

/** Gives undefined for a message that it is not for. */
type Encoder = (message: object) => Buffer | undefined;

/** A tag of wire type 2, with the field's number. */
const tagOf = (field: DescField) => (field.number << 3) | 2;

/**
 * What encodes messages that have one field set, of a oneof, which is bytes or a message of nothing but bytes; undefined
 * for types that have no such field. For any other message of the type the encoder gives undefined.
 */
export function bytesEncoder(desc: DescMessage): Encoder | undefined {
  const [oneof] = desc.oneofs;
  if (!oneof || oneof.fields.length !== desc.fields.length) return undefined;
  const cases = new Map(oneof.fields.map((field) => [field.localName, bytesOf(field)]));
  if (![...cases.values()].some(Boolean)) return undefined;
  return (message) => {
    const set = Reflect.get(message, oneof.localName) as { case?: string; value?: unknown };
    const found = set.case === undefined || hasUnknown(message) ? undefined : cases.get(set.case)?.(set.value);
    if (!found || found.data.length < LARGE_BYTES) return undefined;
    let length = found.data.length;
    const heads: number[] = [];
    for (const tag of found.tags) {
      const head = [...varint(tag), ...varint(length)];
      heads.unshift(...head);
      length += head.length;
    }
    const encoded = Buffer.allocUnsafeSlow(length);
    encoded.set(heads, 0);
    encoded.set(found.data, heads.length);
    return encoded;
  };
}

/** How the bytes of a field's value are got at, and the tags before them, the innermost first. */
function bytesOf(field: DescField): ((value: unknown) => { data: Uint8Array; tags: number[] } | undefined) | undefined {
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES)
    return (value) => (value instanceof Uint8Array ? { data: value, tags: [tagOf(field)] } : undefined);
  if (field.fieldKind !== "message") return undefined;
  const [inner, other] = field.message.fields;
  if (!inner || other || inner.fieldKind !== "scalar" || inner.scalar !== ScalarType.BYTES || inner.oneof)
    return undefined;
  return (value) => {
    const data: unknown = Reflect.get(value as object, inner.localName);
    if (!(data instanceof Uint8Array) || hasUnknown(value as object)) return undefined;
    return { data, tags: [tagOf(inner), tagOf(field)] };
  };
}

function hasUnknown(message: object): boolean {
  return ((message as Message).$unknown?.length ?? 0) > 0;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}
