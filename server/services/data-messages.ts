// Python's data ⇄ messages of the wire. What cannot be said on one side is refused with the place where it stands.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { NullValue, type Timestamp } from "@bufbuild/protobuf/wkt";
import {
  ApiError,
  type DataInput,
  type DataOutput,
  DataOutputSchema,
  type FieldViolation,
  invalidFields,
  type ListValue,
  type NamedTensor,
  type ObjectValue,
  type ObjectValueSchema,
  type Tensor,
  type TensorSchema,
  TensorType,
  type Value,
  type ValueSchema,
} from "@modelwire/proto";
import {
  type Data,
  type DataMap,
  DateTime,
  type Dtype,
  NdArray,
  type NUMBER_BYTES,
  Table,
} from "../mlmodel/data/data.ts";
import { canBeLists } from "../mlmodel/data/element-types.ts";
import { writePythonJson } from "../mlmodel/data/python-json.ts";
import type { ScoringForm } from "../mlmodel/enforce/scoring-input.ts";
import { scoringOutput } from "../mlmodel/enforce/scoring-output.ts";

/** Numpy's most. */
const MAX_DIMENSIONS = 64;

const DTYPES: Readonly<Record<TensorType, Dtype | undefined>> = {
  [TensorType.UNSPECIFIED]: undefined,
  [TensorType.FLOAT]: "float32",
  [TensorType.UINT8]: "uint8",
  [TensorType.INT8]: "int8",
  [TensorType.UINT16]: "uint16",
  [TensorType.INT16]: "int16",
  [TensorType.INT32]: "int32",
  [TensorType.INT64]: "int64",
  [TensorType.STRING]: "str",
  [TensorType.BOOL]: "bool",
  [TensorType.FLOAT16]: "float16",
  [TensorType.DOUBLE]: "float64",
  [TensorType.UINT32]: "uint32",
  [TensorType.UINT64]: "uint64",
  [TensorType.BFLOAT16]: "bfloat16",
};

const TENSOR_TYPES: ReadonlyMap<Dtype, TensorType> = new Map(
  Object.entries(DTYPES).flatMap(([type, dtype]) => (dtype ? [[dtype, Number(type) as TensorType] as const] : [])),
);

/** @throws ApiError INVALID_FIELD with every violation. */
export function scoringForm(input: DataInput | undefined, field = "input"): ScoringForm {
  const reader = new Reader();
  const form = reader.form(input, field);
  reader.check();
  return form as ScoringForm;
}

/** @throws ApiError INVALID_FIELD with every violation. */
export function dataMap(object: ObjectValue | undefined, field: string): DataMap | undefined {
  if (!object) return undefined;
  const reader = new Reader();
  const map = reader.object(object, field);
  reader.check();
  return map;
}

/** Two bytes on the wire, and hundreds in memory were it made anew. */
const NOTHING: DataMap = new Map();

/** What google.protobuf.Timestamp allows, and Python's datetime can hold. */
function isTimestamp({ seconds, nanos }: Timestamp): boolean {
  return seconds >= -62_135_596_800n && seconds <= 253_402_300_799n && nanos >= 0 && nanos <= 999_999_999;
}

/** Reads messages and gathers what is wrong with them. They are no more than 100 deep, which protobuf-es sees to. */
class Reader {
  readonly #problems: FieldViolation[] = [];

  check(): void {
    if (this.#problems.length > 0) throw invalidFields(this.#problems);
  }

  form(input: DataInput | undefined, field: string): ScoringForm | undefined {
    const form = input?.form;
    switch (form?.case) {
      case "dataframeSplit": {
        const { columns, data } = form.value;
        const rows = data.map((row, i) => this.list(row, `${field}.dataframe_split.data[${i}]`));
        return { form: "dataframe_split", columns: columns.length > 0 ? columns : undefined, data: rows };
      }
      case "dataframeRecords": {
        const place = `${field}.dataframe_records.records`;
        return {
          form: "dataframe_records",
          records: form.value.records.map((row, i) => this.object(row, `${place}[${i}]`)),
        };
      }
      case "instances":
        return { form: "instances", value: this.value(form.value, `${field}.instances`) };
      case "inputs":
        return { form: "inputs", value: this.value(form.value, `${field}.inputs`) };
      case "tensors":
        return { form: "tensors", tensors: this.#tensors(form.value.tensors, `${field}.tensors.tensors`) };
      case "json":
        return { form: "json", text: form.value };
      default:
        this.#wrong(
          field,
          "is missing: give one of dataframe_split, dataframe_records, instances, inputs, tensors, json",
        );
        return undefined;
    }
  }

  value(value: Value | undefined, field: string): Data {
    const kind = value?.kind;
    switch (kind?.case) {
      case "nullValue":
        return null;
      case "datetimeValue":
        if (!isTimestamp(kind.value))
          return this.#wrong(field, "must be a time from the year 1 to 9999, with nanos from 0 to 999999999");
        return new DateTime(kind.value.seconds * 1_000_000_000n + BigInt(kind.value.nanos));
      case "listValue":
        return this.list(kind.value, field);
      case "objectValue":
        return this.object(kind.value, field);
      case "tensorValue":
        return this.#tensor(kind.value, field) ?? null;
      case "boolValue":
      case "intValue":
      case "doubleValue":
      case "stringValue":
      case "binaryValue":
        return kind.value;
      default:
        return this.#wrong(field, "has no kind: set null_value for None");
    }
  }

  list({ values }: ListValue, field: string): Data[] {
    return values.map((item, i) => this.value(item, `${field}[${i}]`));
  }

  object({ entries }: ObjectValue, field: string): DataMap {
    if (entries.length === 0) return NOTHING;
    const map = new Map<string, Data>();
    for (const { key, value } of entries) {
      if (map.has(key)) this.#wrong(`${field}["${key}"]`, "comes twice");
      map.set(key, this.value(value, `${field}["${key}"]`));
    }
    return map;
  }

  #tensors(tensors: readonly NamedTensor[], field: string): { name: string; array: NdArray }[] {
    const names = new Set<string>();
    return tensors.flatMap(({ name, tensor }, i) => {
      if (names.has(name)) this.#wrong(`${field}[${i}].name`, `"${name}" comes twice`);
      names.add(name);
      const array = this.#tensor(tensor, `${field}[${i}].tensor`);
      return array ? [{ name, array }] : [];
    });
  }

  #tensor(tensor: Tensor | undefined, field: string): NdArray | undefined {
    const dtype = tensor && DTYPES[tensor.type];
    if (!tensor || !dtype) {
      this.#wrong(`${field}.type`, "is missing or unknown: give one of TensorType");
      return undefined;
    }
    if (tensor.shape.length > MAX_DIMENSIONS) {
      this.#wrong(`${field}.shape`, `must have at most ${MAX_DIMENSIONS} sizes, got ${tensor.shape.length}`);
      return undefined;
    }
    const shape = tensor.shape.map(Number);
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
      this.#wrong(`${field}.shape`, `must hold sizes of 0 or more, got [${tensor.shape.join(", ")}]`);
      return undefined;
    }
    if (!canBeLists(shape)) {
      this.#wrong(
        `${field}.shape`,
        `says that there are no items, in more than a million lists, got [${tensor.shape.join(", ")}]`,
      );
      return undefined;
    }
    try {
      if (dtype === "str") {
        if (tensor.data.length > 0)
          this.#wrong(`${field}.data`, "must be empty: the items of a text tensor go into strings");
        return NdArray.ofItems("str", shape, tensor.strings);
      }
      if (tensor.strings.length > 0) this.#wrong(`${field}.strings`, `must be empty: ${dtype} items go into data`);
      return NdArray.ofBytes(dtype as keyof typeof NUMBER_BYTES, shape, tensor.data);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#wrong(dtype === "str" ? `${field}.strings` : `${field}.data`, error.message);
      return undefined;
    }
  }

  #wrong(field: string, description: string): null {
    if (this.#problems.length < 100) this.#problems.push({ field, description });
    return null;
  }
}

/**
 * A prediction in the form of its input.
 *
 * @param bare of a JSON body: whether it stands alone, as MLflow's scoring server answers {"messages": …}.
 */
export function dataOutput(prediction: Data, form: ScoringForm["form"], bare: boolean): DataOutput {
  if (form === "tensors") {
    const tensors = tensorSet(prediction);
    if (tensors) return create(DataOutputSchema, { form: { case: "tensors", value: { tensors } } });
  }
  const plain = scoringOutput(prediction);
  if (form === "json") {
    const value = writePythonJson(bare ? plain : new Map([["predictions", plain]]));
    return create(DataOutputSchema, { form: { case: "json", value } });
  }
  return create(DataOutputSchema, { form: { case: "predictions", value: valueMessage(plain) } });
}

/** Undefined unless everything in it is an array that the wire has a type for. */
function tensorSet(data: Data): { name: string; tensor: MessageInitShape<typeof TensorSchema> }[] | undefined {
  const named: [string, Data][] =
    data instanceof NdArray
      ? [["", data]]
      : data instanceof Map
        ? [...data]
        : data instanceof Table
          ? data.columns.map(({ name, values }) => [String(name), values])
          : [];
  const tensors = named.map(([name, array]) => ({
    name,
    tensor: array instanceof NdArray ? tensorOf(array) : undefined,
  }));
  if (tensors.length === 0) return undefined;
  return tensors.every(
    (one): one is { name: string; tensor: NonNullable<typeof one.tensor> } => one.tensor !== undefined,
  )
    ? tensors
    : undefined;
}

/** Texts come from Python as objects, too. */
function tensorOf({ dtype, shape, bytes, items }: NdArray): MessageInitShape<typeof TensorSchema> | undefined {
  const sizes = shape.map(BigInt);
  if (dtype !== "str" && dtype !== "object") {
    const type = TENSOR_TYPES.get(dtype);
    return type === undefined ? undefined : { type, shape: sizes, data: bytes };
  }
  const strings = items.filter((item) => typeof item === "string");
  return strings.length === items.length ? { type: TensorType.STRING, shape: sizes, strings } : undefined;
}

/** numpy.uint64, which is what holds such a number in Python, too. */
function uint64(value: bigint): MessageInitShape<typeof TensorSchema> {
  return { type: TensorType.UINT64, shape: [], data: new Uint8Array(BigUint64Array.of(value).buffer) };
}

/** @throws ApiError PREDICTION_FAILED for a whole number that the wire has no place for: nothing is rounded. */
export function valueMessage(data: Data): MessageInitShape<typeof ValueSchema> {
  return { kind: kindOf(data) };
}

function kindOf(data: Data): NonNullable<MessageInitShape<typeof ValueSchema>["kind"]> {
  if (data === null) return { case: "nullValue", value: NullValue.NULL_VALUE };
  if (typeof data === "boolean") return { case: "boolValue", value: data };
  if (typeof data === "bigint") {
    if (BigInt.asIntN(64, data) === data) return { case: "intValue", value: data };
    if (BigInt.asUintN(64, data) === data) return { case: "tensorValue", value: uint64(data) };
    throw new ApiError(
      "PREDICTION_FAILED",
      `${data} has more than 64 bits, for which only JSON has a place; send the input as a JSON body`,
    );
  }
  if (typeof data === "number") return { case: "doubleValue", value: data };
  if (typeof data === "string") return { case: "stringValue", value: data };
  if (data instanceof Uint8Array) return { case: "binaryValue", value: data };
  if (data instanceof DateTime) {
    const nanos = ((data.ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    return {
      case: "datetimeValue",
      value: { seconds: (data.ns - nanos) / 1_000_000_000n, nanos: Number(nanos) },
    };
  }
  if (data instanceof Map) return { case: "objectValue", value: objectMessage(data) };
  if (data instanceof NdArray) {
    const tensor = tensorOf(data);
    return tensor ? { case: "tensorValue", value: tensor } : kindOf(scoringOutput(data));
  }
  if (data instanceof Table) return kindOf(scoringOutput(data));
  return { case: "listValue", value: { values: (data as readonly Data[]).map(valueMessage) } };
}

export function objectMessage(map: DataMap): MessageInitShape<typeof ObjectValueSchema> {
  return { entries: [...map].map(([key, value]) => ({ key, value: valueMessage(value) })) };
}
