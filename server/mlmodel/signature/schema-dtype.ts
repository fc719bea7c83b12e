// Names of numpy's element types, as a schema may give them.

/** Each name that MLflow writes, with others that numpy takes for it. */
const NAMES: Readonly<Record<string, string>> = {
  bool: "? b1 bool_",
  int8: "b i1 byte",
  int16: "h i2 short",
  int32: "i i4 intc",
  int64: "l q p i8 int long longlong intp int_",
  uint8: "B u1 ubyte",
  uint16: "H u2 ushort",
  uint32: "I u4 uintc",
  uint64: "L Q P u8 uint ulong ulonglong uintp",
  float16: "e f2 half",
  float32: "f f4 single",
  float64: "d f8 float double",
  bfloat16: "",
  complex64: "F c8 csingle",
  complex128: "D c16 complex cdouble",
  str: "U U0 str_ unicode",
  bytes: "S S0 a bytes_",
  object: "O object_",
};

const CANONICAL: ReadonlyMap<string, string> = new Map(
  Object.entries(NAMES).flatMap(([name, others]) => [name, ...others.split(" ")].map((other) => [other, name])),
);

const TIME = /^(datetime64|M8|timedelta64|m8)(\[(?:[1-9]\d{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?$/;

/**
 * `np.dtype(text).name`; undefined for what numpy does not know and for what MLflow refuses: text of a fixed width. Bytes
 * from the other end are refused too, since MLflow would forget it.
 */
export function tensorDtype(text: string): string | undefined {
  const code = /^[<=|]/.test(text) ? text.slice(1) : text;
  const time = TIME.exec(code);
  if (time) return `${time[1]?.startsWith("d") || time[1] === "M8" ? "datetime64" : "timedelta64"}${time[2] ?? ""}`;
  return code === "" ? undefined : CANONICAL.get(code);
}
