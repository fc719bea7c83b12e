// An input in one of the forms that the service takes, and an output in the form that came. It must never make a call.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DataInputSchema, DataOutput } from "@modelwire/proto";
import type { InputColumns } from "./column-values.ts";
import type { ModelOutput, ObjectInit, ValueWriter } from "./data.ts";
import { asTensor, checked, fromValue, isPlainObject } from "./data.ts";
import { fromTensorMessage, type Tensor, tensorMessage } from "./tensor.ts";

/** Names of MLflow's scoring server for the ways to pass data, and two of our own. */
export type InputForm =
  /** A list of rows: a table. */
  | "dataframe_records"
  /** `{columns, data}`: a table by rows, the names apart. */
  | "dataframe_split"
  /** A list; one of objects is turned into columns. */
  | "instances"
  /** Anything, kept in its shape and cast by the signature. An object of values that are no lists is one row. */
  | "inputs"
  /** Tensors by name, or a single one. Never cast. */
  | "tensors"
  /** The body of a POST to /invocations as text, which is answered by such a text. */
  | "json";

type FormInit = NonNullable<MessageInitShape<typeof DataInputSchema>["form"]>;

/**
 * The input as a message.
 *
 * @param as its form. Absent: tensors and objects of nothing but tensors go as `tensors`, lists of objects as
 *   `dataframe_records`, anything else as `inputs`.
 * @param columns of the signature, if known
 * @throws ApiError INVALID_ARGUMENT with the place of everything that is no data, or not of that form.
 */
export function toDataInput(
  data: unknown,
  as?: InputForm,
  columns?: InputColumns,
): MessageInitShape<typeof DataInputSchema> {
  const given = as === undefined ? arranged(data, columns) : { form: as, data };
  return { form: checked((writer) => new FormWriter(writer, columns).write(given.data, given.form)) };
}

/** The output: text for a JSON body, else data. A lone tensor without a name stands alone. */
export function fromDataOutput(output: DataOutput | undefined): ModelOutput {
  const form = output?.form;
  switch (form?.case) {
    case "json":
      return form.value;
    case "tensors": {
      const tensors = form.value.tensors.flatMap(({ name, tensor }): [string, Tensor][] =>
        tensor ? [[name, fromTensorMessage(tensor)]] : [],
      );
      const [first] = tensors;
      return tensors.length === 1 && first?.[0] === "" ? first[1] : Object.fromEntries(tensors);
    }
    case "predictions":
      return fromValue(form.value);
    default:
      return null;
  }
}

interface Given {
  form: InputForm;
  data: unknown;
}

/** The form that says to MLflow what the data looks like. */
function arranged(data: unknown, columns: InputColumns | undefined): Given {
  const rows = Array.isArray(data) ? data : [data];
  const cells = columns?.nameless ? rows.map(cellsOf) : [];
  if (cells.length > 0 && cells.every((row) => row !== undefined))
    return { form: "dataframe_split", data: { data: cells } };
  if (columns?.onlyAsRows && isPlainObject(data)) return { form: "dataframe_records", data: [data] };
  return { form: formOf(data), data };
}

/** A row of a table without column names: a list, or an object with the keys 0, 1, 2 and so on. */
function cellsOf(row: unknown): readonly unknown[] | undefined {
  if (Array.isArray(row)) return row;
  if (!isPlainObject(row) || Object.keys(row).some((key, i) => key !== String(i))) return undefined;
  return Object.values(row);
}

function formOf(data: unknown): InputForm {
  if (asTensor(data)) return "tensors";
  if (Array.isArray(data)) return data.every(isPlainObject) ? "dataframe_records" : "inputs";
  if (!isPlainObject(data)) return "inputs";
  const values = Object.values(data).filter((value) => value !== undefined);
  return values.length > 0 && values.every((value) => asTensor(value)) ? "tensors" : "inputs";
}

class FormWriter {
  readonly #writer: ValueWriter;
  readonly #columns: InputColumns | undefined;

  constructor(writer: ValueWriter, columns: InputColumns | undefined) {
    this.#writer = writer;
    this.#columns = columns;
  }

  write(data: unknown, form: InputForm): FormInit {
    switch (form) {
      case "dataframe_records":
        return this.#records(data);
      case "dataframe_split":
        return this.#split(data);
      case "instances":
        return { case: "instances", value: this.#writer.value(data, "instances") };
      case "inputs":
        if (!this.#columns || !isPlainObject(data)) {
          return { case: "inputs", value: this.#writer.value(data, "inputs") };
        }
        return { case: "inputs", value: { kind: { case: "objectValue", value: this.#row(data, "inputs") } } };
      case "tensors":
        return this.#tensors(data);
      case "json":
        if (typeof data !== "string") this.#writer.wrong("json", "must be a text");
        return { case: "json", value: this.#writer.text(String(data), "json") };
    }
  }

  #records(data: unknown): FormInit {
    const place = "dataframe_records";
    if (!Array.isArray(data)) this.#writer.wrong(place, "must be a list of rows");
    const rows: readonly unknown[] = Array.isArray(data) ? data : [];
    const records = Array.from(rows, (row, i) => this.#row(row, `${place}[${i}]`));
    return { case: "dataframeRecords", value: { records } };
  }

  #split(data: unknown): FormInit {
    const place = "dataframe_split";
    const { columns = [], data: rows } = isPlainObject(data) ? data : {};
    if (!Array.isArray(columns) || !columns.every((name) => typeof name === "string"))
      this.#writer.wrong(`${place}.columns`, "must be a list of texts");
    if (!Array.isArray(rows) || !rows.every(Array.isArray))
      this.#writer.wrong(`${place}.data`, "must be a list of rows, each a list");
    if (this.#writer.problems.length > 0) return { case: "dataframeSplit", value: {} };
    const names = (columns as string[]).map((name) => this.#writer.text(name, `${place}.columns`));
    const lists = (rows as unknown[][]).map((row, i) => ({
      values: Array.from(row, (value, j) => this.#cell(value, `${place}.data[${i}][${j}]`, names[j] ?? String(j))),
    }));
    return { case: "dataframeSplit", value: { columns: names, data: lists } };
  }

  #tensors(data: unknown): FormInit {
    const single = asTensor(data);
    if (single) return { case: "tensors", value: { tensors: [{ tensor: tensorMessage(single) }] } };
    if (!isPlainObject(data)) this.#writer.wrong("tensors", "must be a tensor, or an object of tensors by name");
    const entries = Object.entries(isPlainObject(data) ? data : {}).filter(([, value]) => value !== undefined);
    const tensors = entries.flatMap(([name, value]) => {
      const tensor = asTensor(value);
      if (!tensor) this.#writer.wrong(`tensors.${name}`, "must be a tensor or a typed array; for bytes, use tensor()");
      return tensor ? [{ name: this.#writer.text(name, "tensors"), tensor: tensorMessage(tensor) }] : [];
    });
    return { case: "tensors", value: { tensors } };
  }

  #row(row: unknown, place: string): ObjectInit {
    if (!isPlainObject(row)) return this.#writer.object(row, place);
    return this.#writer.entries(row, place, (value, at, column) => this.#cell(value, at, column));
  }

  #cell(value: unknown, place: string, column: string) {
    return this.#columns ? this.#columns.value(this.#writer, value, place, column) : this.#writer.value(value, place);
  }
}
