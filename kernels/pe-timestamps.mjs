// A Windows library carries the second in which it was linked, in its header and in tables that the header names. This
// takes them out, so that the same sources make the same bytes.

/** Clears the time stamps of a PE32+ file (Microsoft's "PE Format") in place. @throws Error for anything else */
export function clearTimestamps(bytes) {
  const header = bytes.readUInt32LE(0x3c);
  const optional = header + 24;
  if (bytes.toString("latin1", header, header + 4) !== "PE\0\0" || bytes.readUInt16LE(optional) !== 0x20b)
    throw new Error("no 64-bit PE file");
  bytes.writeUInt32LE(0, header + 8);
  const sections = Array.from({ length: bytes.readUInt16LE(header + 6) }, (_, i) => {
    const at = optional + bytes.readUInt16LE(header + 20) + 40 * i;
    return { start: bytes.readUInt32LE(at + 12), size: bytes.readUInt32LE(at + 16), file: bytes.readUInt32LE(at + 20) };
  });
  const directory = (index) => {
    const at = optional + 112 + 8 * index;
    const [address, size] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
    const section = sections.find(({ start, size: length }) => address >= start && address < start + length);
    return section && size > 0 ? { at: section.file + address - section.start, size } : undefined;
  };
  const exports = directory(0);
  if (exports) bytes.writeUInt32LE(0, exports.at + 4);
  const debug = directory(6);
  for (let i = 0; debug && i < debug.size; i += 28) bytes.writeUInt32LE(0, debug.at + i + 4);
}
