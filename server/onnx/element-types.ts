// The element types of tensors: their numbers in ONNX, what we call them and how wide an item is. It knows no pointers.

/** Element types that a tensor can be made of here; the items of all but "string" have a fixed width. */
export type TensorType = keyof typeof typeCodes;

const typeCodes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

/** An element type of a graph; those that are not made here carry their number, and what is no tensor a negative one. */
export type ElementType = TensorType | `type${number}`;

/** Bytes of one item. */
export const itemBytes: Readonly<Record<Exclude<TensorType, "string">, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  float64: 8,
  uint32: 4,
  uint64: 8,
  bfloat16: 2,
};

const typeNames = new Map<number, TensorType>(
  Object.entries(typeCodes).map(([name, code]) => [code, name as TensorType]),
);

/** ONNXTensorElementDataType of a type. */
export function typeCode(type: TensorType): number {
  return typeCodes[type];
}

/** The name that ONNX itself gives a type: "float" for float32, "double" for float64, the same for the rest. */
export type OnnxType = Exclude<TensorType, "float32" | "float64"> | "float" | "double";

export function onnxName(type: TensorType): OnnxType {
  return type === "float32" ? "float" : type === "float64" ? "double" : type;
}

/** @returns undefined when there is no such type. */
export function typeOfOnnxName(name: string): TensorType | undefined {
  if (name === "float") return "float32";
  if (name === "double") return "float64";
  return name !== "float32" && name !== "float64" && Object.hasOwn(typeCodes, name) ? (name as TensorType) : undefined;
}

export function isTensorType(type: ElementType): type is TensorType {
  return Object.hasOwn(typeCodes, type);
}

export function typeOfCode(code: number): ElementType {
  return typeNames.get(code) ?? `type${code}`;
}
