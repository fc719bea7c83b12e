// A sparse matrix as JSON, made dense. It never knows where the JSON comes from.

import type { Data, DataMap, NdArray } from "./data/data.ts";
import { itemsOf, packed } from "./data/element-types.ts";
import { arrayOf } from "./enforce/array-of.ts";

/** Cells of an array that a sparse matrix may stand for. */
const MOST_CELLS = 4_000_000;

/**
 * The array that scipy's csr_matrix or csc_matrix stands for; values for the same place add up.
 *
 * @param stored A dict of data, indices, indptr and shape.
 * @param compressed What indptr counts.
 * @throws RangeError when the parts do not fit each other, or there are too many cells.
 */
export function denseArray(stored: Data, compressed: "rows" | "columns"): NdArray {
  const data = listOf(stored, "data");
  if (!data.every((value) => ["number", "bigint", "boolean"].includes(typeof value)))
    throw new RangeError("a sparse matrix holds numbers");
  const { dtype, cells } = cellsOf(data);
  const indices = listOf(stored, "indices").map(naturalOf);
  const ends = listOf(stored, "indptr").map(naturalOf);
  const [rows = 0, columns = 0, ...more] = listOf(stored, "shape").map(naturalOf);
  if (more.length > 0 || rows * columns > MOST_CELLS)
    throw new RangeError(`a sparse matrix may have two dimensions and ${MOST_CELLS} cells`);
  const [lines, width] = compressed === "rows" ? [rows, columns] : [columns, rows];
  const areEnds = ends.length === lines + 1 && ends[0] === 0 && ends.every((end, at) => end >= (ends[at - 1] ?? 0));
  if (
    !areEnds ||
    indices.length !== cells.length ||
    (ends[lines] ?? 0) > cells.length ||
    indices.some((i) => i >= width)
  )
    throw new RangeError("the parts of the sparse matrix do not fit each other");
  const dense: Data[] = new Array<Data>(rows * columns).fill(zeroOf(cells));
  for (let line = 0; line < lines; line++)
    for (let at = ends[line] ?? 0; at < (ends[line + 1] ?? 0); at++) {
      const index = indices[at] ?? 0;
      const place = compressed === "rows" ? line * columns + index : index * columns + line;
      dense[place] = sumOf(dense[place] ?? null, cells[at] ?? null);
    }
  return packed(dtype, [rows, columns], dense);
}

function listOf(stored: Data, name: string): readonly Data[] {
  const list = stored instanceof Map ? (stored as DataMap).get(name) : undefined;
  if (!Array.isArray(list)) throw new RangeError(`a sparse matrix has a list ${name}`);
  return list;
}

/** As numpy would hold them: in one type. */
function cellsOf(data: readonly Data[]): { dtype: NdArray["dtype"]; cells: readonly Data[] } {
  const array = arrayOf(data);
  if (array.dtype === "object") throw new RangeError("a sparse matrix holds numbers of 64 bits");
  return { dtype: array.dtype, cells: itemsOf(array) };
}

function naturalOf(value: Data): number {
  if (typeof value === "bigint" && value >= 0n && value < 2n ** 31n) return Number(value);
  throw new RangeError("a place in a sparse matrix is a natural number");
}

function zeroOf([value]: readonly Data[]): Data {
  return typeof value === "bigint" ? 0n : typeof value === "boolean" ? false : 0;
}

function sumOf(a: Data, b: Data): Data {
  if (typeof a === "bigint" && typeof b === "bigint") return a + b;
  return typeof a === "number" && typeof b === "number" ? a + b : a === true || b === true;
}
