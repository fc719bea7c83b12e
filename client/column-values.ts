// Values as the columns of a signature want them. MLflow's scoring server casts what a column holds, but takes nothing for
// anything else inside arrays, objects and maps: there 1 is no double, and only numpy has a float or an integer. It must
// never judge an input: what does not fit goes out as it is, for the server to refuse.
import { invalidFields } from "@modelwire/proto";
import type { ValueInit, ValueWriter } from "./data.ts";
import { isPlainObject } from "./data.ts";
import { tensor, tensorMessage } from "./tensor.ts";

/** The type of a column or of what lies within one, as the signature's JSON has it. */
type ColumnType =
  | { readonly type: "array"; readonly items: ColumnType }
  | { readonly type: "object"; readonly properties: Readonly<Record<string, ColumnType>> }
  | { readonly type: "map"; readonly values: ColumnType }
  | { readonly type: string };

/** The columns of a model's input. */
export class InputColumns {
  readonly #types: ReadonlyMap<string, ColumnType>;
  /**
   * Whether the columns have no names: none at all, or the numbers 0, 1, 2 and so on of a table without column names. A
   * single one without is no table.
   */
  readonly nameless: boolean;
  /**
   * Whether MLflow would make something else of a lone object: of a map or of anything, the column of many rows; of lists
   * within a list, an array, which they are not when their lengths differ. Then it must be sent as a row.
   */
  readonly onlyAsRows: boolean;

  /**
   * @param schema the `inputs` of a signature: MLflow's JSON text
   * @throws ApiError INVALID_ARGUMENT when it is not that.
   */
  constructor(schema: string) {
    const columns = columnsOf(schema);
    this.#types = new Map(columns.map((column, i) => [String(column.name ?? i), column]));
    const numbered = columns.every(({ name }, i) => name === i);
    const bare = columns.length > 1 && columns.every(({ name, type }) => name === undefined && type !== "tensor");
    this.nameless = numbered || bare;
    const some = (...types: string[]) => columns.some(({ type }) => types.includes(type));
    const nested = columns.some((column) => "items" in column && column.items.type === "array");
    this.onlyAsRows = nested || (some("map", "any") && !some("array", "object"));
  }

  /** The value of a column. */
  value(writer: ValueWriter, data: unknown, place: string, column: string): ValueInit {
    const type = this.#types.get(column);
    return type && NESTED.has(type.type) ? within(writer, data, place, type) : writer.value(data, place);
  }
}

const NESTED: ReadonlySet<string> = new Set(["array", "object", "map"]);

/** Types of numbers that JavaScript's do not tell apart. */
const ELEMENTS = { double: "float64", float: "float32", integer: "int32" } as const;

function within(writer: ValueWriter, data: unknown, place: string, type: ColumnType | undefined): ValueInit {
  if (type && "items" in type && Array.isArray(data)) {
    const numbers = asNumbers(data, type.items.type, [data.length]);
    if (numbers) return numbers;
    const values = writer.items(data, place, (item, at) => within(writer, item, at, type.items));
    return { kind: { case: "listValue", value: { values } } };
  }
  if (type && ("properties" in type || "values" in type) && isPlainObject(data)) {
    const typeOf = (key: string) => {
      if ("values" in type) return type.values;
      return Object.hasOwn(type.properties, key) ? type.properties[key] : undefined;
    };
    const value = writer.entries(data, place, (item, at, key) => within(writer, item, at, typeOf(key)));
    return { kind: { case: "objectValue", value } };
  }
  return (type && asNumbers([data], type.type, [])) ?? writer.value(data, place);
}

/** Numbers as numpy has them; undefined when one of them is no number of that type. */
function asNumbers(data: readonly unknown[], type: string, shape: readonly number[]): ValueInit | undefined {
  if (!Object.hasOwn(ELEMENTS, type) || data.length === 0) return undefined;
  const whole = type === "integer";
  const fits = (item: unknown) => typeof item === "number" && (!whole || (item | 0) === item);
  if (!Array.from(data).every(fits)) return undefined;
  const element = ELEMENTS[type as keyof typeof ELEMENTS];
  return { kind: { case: "tensorValue", value: tensorMessage(tensor(data as number[], shape, element)) } };
}

function columnsOf(schema: string): (ColumnType & { readonly name?: unknown })[] {
  const wrong = (cause?: unknown) => {
    const description = "must be the JSON text of a signature's inputs: a list of columns";
    return Object.assign(invalidFields([{ field: "inputs", description }]), { cause });
  };
  let columns: unknown;
  try {
    columns = JSON.parse(schema);
  } catch (cause) {
    throw wrong(cause);
  }
  if (!Array.isArray(columns) || !columns.every((column) => isPlainObject(column) && typeof column.type === "string"))
    throw wrong();
  return columns;
}
