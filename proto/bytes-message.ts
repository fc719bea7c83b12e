// Messages that carry large bytes, such as a piece of a file or a tensor, put on the wire with one copy of them.
// protobuf-es makes one for each message around them, and takes the memory anew each time. It must never know a particular
// message.
import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
import { ScalarType, toBinary } from "@bufbuild/protobuf";

/** Below this protobuf-es is as fast. */
const LARGE_BYTES = 4096;

/** Gives undefined for a message that holds no large bytes. */
type Encoder = (message: object) => Buffer | undefined;

/** A field that is bytes, or a message that may hold some. */
interface Carrier {
  readonly field: DescField;
  /** Undefined for bytes. */
  readonly inner: DescMessage | undefined;
}

/** What encodes the messages of a type that hold large bytes; undefined for types that cannot hold bytes. */
export function bytesEncoder(desc: DescMessage): Encoder | undefined {
  if (carriersOf(desc).length === 0) return undefined;
  return (message) => {
    if (!holdsLarge(desc, message)) return undefined;
    const parts: Uint8Array[] = [];
    const length = append(desc, message, parts);
    const encoded = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (const part of parts) {
      encoded.set(part, at);
      at += part.length;
    }
    return encoded;
  };
}

/** Adds a message's encoding to `parts`, its large bytes as they are. @returns how long it is */
function append(desc: DescMessage, message: object, parts: Uint8Array[]): number {
  // Everything but the large bytes is protobuf-es's; the order of fields on the wire is free.
  const rest = { ...message } as Record<string, unknown>;
  let length = 0;
  const push = (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
  };
  for (const { field, inner } of carriersOf(desc)) {
    const values = valuesOf(field, message);
    if (!values.some((value) => isLarge(inner, value))) continue;
    clear(rest, field);
    for (const value of values) {
      const tag = varint((field.number << 3) | 2);
      if (!inner) {
        push(Uint8Array.from([...tag, ...varint((value as Uint8Array).length)]));
        push(value as Uint8Array);
      } else {
        const within: Uint8Array[] = [];
        push(Uint8Array.from([...tag, ...varint(append(inner, value as object, within))]));
        for (const part of within) push(part);
      }
    }
  }
  push(toBinary(desc, rest as MessageShape<DescMessage>));
  return length;
}

const known = new WeakMap<DescMessage, readonly Carrier[]>();

function carriersOf(desc: DescMessage): readonly Carrier[] {
  let carriers = known.get(desc);
  if (!carriers) {
    const found = desc.fields.flatMap((field): Carrier[] => {
      if (isBytes(field)) return [{ field, inner: undefined }];
      const inner = field.fieldKind === "message" || field.fieldKind === "list" ? field.message : undefined;
      return inner && mayHoldBytes(inner, new Set()) ? [{ field, inner }] : [];
    });
    carriers = found;
    known.set(desc, carriers);
  }
  return carriers;
}

function mayHoldBytes(desc: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(desc)) return false;
  seen.add(desc);
  return desc.fields.some((field) => {
    const inner = field.fieldKind === "message" || field.fieldKind === "list" ? field.message : undefined;
    return isBytes(field) || (inner !== undefined && mayHoldBytes(inner, seen));
  });
}

function isBytes(field: DescField): boolean {
  if (field.fieldKind === "list") return field.listKind === "scalar" && field.scalar === ScalarType.BYTES;
  return field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES;
}

function holdsLarge(desc: DescMessage, message: object): boolean {
  return carriersOf(desc).some(({ field, inner }) => valuesOf(field, message).some((value) => isLarge(inner, value)));
}

function isLarge(inner: DescMessage | undefined, value: unknown): boolean {
  return inner ? holdsLarge(inner, value as object) : (value as Uint8Array).length >= LARGE_BYTES;
}

/** What a field holds: nothing, one value, or those of a list. */
function valuesOf(field: DescField, message: object): readonly unknown[] {
  const value: unknown = field.oneof ? chosen(field, message) : Reflect.get(message, field.localName);
  if (field.fieldKind === "list") return value as unknown[];
  return value === undefined ? [] : [value];
}

function chosen({ oneof, localName }: DescField, message: object): unknown {
  const set = Reflect.get(message, oneof?.localName ?? "") as { case?: string; value?: unknown };
  return set.case === localName ? set.value : undefined;
}

function clear(message: Record<string, unknown>, field: DescField): void {
  if (field.oneof) message[field.oneof.localName] = { case: undefined };
  else if (field.fieldKind === "list") message[field.localName] = [];
  else message[field.localName] = field.fieldKind === "scalar" && !isOptional(field) ? new Uint8Array() : undefined;
}

function isOptional(field: DescField): boolean {
  return field.proto.proto3Optional;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left & 0x7f) | 0x80);
  return [...bytes, left];
}
