// `numpy.array` of Python values: shape and element type are found, or elements are converted to a given type. It never
// knows schemas.

import { type Data, type Dtype, NdArray } from "../data/data.ts";
import { itemsOf, KINDS, NO_DIMENSIONS, packed, plain, rangeOf, widthOf } from "../data/element-types.ts";
import { convertValue } from "./convert-value.ts";
import { Misfit } from "./findings.ts";

/** Beyond as many, numpy gives up too. */
const MOST_DIMENSIONS = 64;

/**
 * `numpy.array(data, dtype)`.
 *
 * @throws Misfit when lists are ragged or an element can not be converted without loss.
 */
export function arrayOf(data: Data, dtype?: Dtype): NdArray {
  if (data instanceof NdArray && data.shape.length > 0) return arrayAs(data, dtype ?? data.dtype);
  if (dtype === "object") return objectsOf(data);
  const leaves: Data[] = [];
  const shape: number[] = [];
  measure(data, shape);
  gather(data, shape, 0, leaves);
  const type = dtype ?? commonType(leaves);
  const items = type === "object" ? leaves.map(objectOf) : leaves.map((leaf) => convertValue(leaf, type));
  return packed(type, shape.length === 0 ? NO_DIMENSIONS : shape, items);
}

/** Of objects as many dimensions as all lists share; what lies deeper stays a list. */
function objectsOf(data: Data): NdArray {
  const shape: number[] = [];
  let level: readonly Data[] = [data];
  while (shape.length < MOST_DIMENSIONS) {
    const [first] = level;
    if (!Array.isArray(first) || !level.every((each) => Array.isArray(each) && each.length === first.length)) break;
    shape.push(first.length);
    level = level.flat(1) as readonly Data[];
  }
  return packed("object", shape.length === 0 ? NO_DIMENSIONS : shape, level);
}

/** `array.astype(dtype)`; pandas' missing text becomes NaN among objects. The array itself when it has that type. @throws Misfit */
export function arrayAs(array: NdArray, dtype: Dtype): NdArray {
  if (array.dtype === dtype) return array;
  const items =
    dtype === "object" && array.dtype === "str" ? array.items.map((item) => item ?? Number.NaN) : itemsOf(array);
  return packed(dtype, array.shape, dtype === "object" ? items : items.map((item) => convertValue(item, dtype)));
}

/** `numpy.array([scalar], dtype)[0]`. @throws Misfit */
export function scalarOf(value: Data, dtype: Dtype): NdArray {
  return packed(dtype, [], [convertValue(value, dtype)]);
}

function measure(data: Data, shape: number[]): void {
  let at: Data | undefined = data;
  while (Array.isArray(at)) {
    shape.push(at.length);
    if (shape.length > MOST_DIMENSIONS) throw new Misfit("An array has too many dimensions.", "It takes 64.");
    at = at[0];
  }
  if (at instanceof NdArray) shape.push(...at.shape);
}

function gather(data: Data, shape: readonly number[], depth: number, leaves: Data[]): void {
  const size = shape[depth];
  if (data instanceof NdArray && data.shape.length > 0) {
    if (data.shape.length !== shape.length - depth || data.shape.some((length, i) => length !== shape[depth + i]))
      throw ragged();
    for (const item of itemsOf(data)) leaves.push(packed(data.dtype, ITEM, [item]));
  } else if (Array.isArray(data)) {
    if (data.length !== size) throw ragged();
    for (const item of data) gather(item, shape, depth + 1, leaves);
  } else if (size !== undefined) throw ragged();
  else leaves.push(data);
}

/** The shape of an array's item on its way into another array: among objects it is Python's, not numpy's. */
const ITEM: readonly number[] = Object.freeze([]);

function objectOf(leaf: Data): Data {
  return leaf instanceof NdArray && leaf.shape === ITEM ? plain(leaf) : leaf;
}

function ragged(): Misfit {
  return new Misfit("Lists within a list differ in length or depth.", "Send lists of the same length.");
}

/** The type that numpy finds for elements. */
function commonType(leaves: readonly Data[]): Dtype {
  let type: Dtype | undefined;
  for (const leaf of leaves) {
    const found = typeOf(leaf);
    type = type === undefined ? found : promoted(type, found);
    if (type === "object") break;
  }
  return type ?? "float64";
}

function typeOf(leaf: Data): Dtype {
  if (leaf instanceof NdArray) return leaf.dtype;
  if (typeof leaf === "boolean") return "bool";
  if (typeof leaf === "number") return "float64";
  if (typeof leaf === "string") return "str";
  if (leaf instanceof Uint8Array) return "bytes";
  if (typeof leaf !== "bigint" || leaf < rangeOf("int64")[0] || leaf > rangeOf("uint64")[1]) return "object";
  return leaf > rangeOf("int64")[1] ? "uint64" : "int64";
}

/** `numpy.promote_types`. */
export function promoted(a: Dtype, b: Dtype): Dtype {
  if (a === b) return a;
  const kinds = [KINDS[a], KINDS[b]];
  if (kinds.includes("O") || kinds.includes("V")) return "object";
  if (kinds.includes("M")) return kinds.includes("U") || kinds.includes("S") ? "str" : "object";
  if (kinds.includes("U")) return "str";
  if (kinds.includes("S")) return "bytes";
  if (kinds[0] === "b") return b;
  if (kinds[1] === "b") return a;
  if (kinds[0] === kinds[1]) return widthOf(a) > widthOf(b) ? a : b;
  if (kinds.includes("f")) return floatFor(kinds[0] === "f" ? a : b, kinds[0] === "f" ? b : a);
  const [signed, unsigned] = kinds[0] === "i" ? [a, b] : [b, a];
  const width = Math.max(widthOf(signed), widthOf(unsigned) * 2);
  return width > 8 ? "float64" : (`int${width * 8}` as Dtype);
}

function floatFor(float: Dtype, int: Dtype): Dtype {
  const width = Math.max(widthOf(float), Math.min(8, widthOf(int) * 2));
  return `float${width * 8}` as Dtype;
}
