// Writes protobuf messages by hand: each function makes the bytes of one field. Knows the wire format, no schema.

/** A whole message of its fields. */
export function message(...fields) {
  return Buffer.concat(fields.flat());
}

/** An integer field: int32, int64 or an enum. */
export function integer(number, value) {
  return Buffer.concat([varint(number << 3), varint(value)]);
}

export function float(number, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((number << 3) | 5), bytes]);
}

/** A string, bytes or message field. */
export function bytes(number, value) {
  const content = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

function varint(value) {
  const out = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Buffer.from(out);
}
