// Messages of the wire that no model could mean.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ApiError, DataInputSchema, TensorType, ValueSchema } from "@modelwire/proto";
import { expect, test } from "vitest";
import { NdArray } from "../../server/mlmodel/data/data.ts";
import { scoringOutput } from "../../server/mlmodel/enforce/scoring-output.ts";
import { scoringForm, valueMessage } from "../../server/services/data-messages.ts";

function refusal(work: () => unknown): ApiError {
  try {
    work();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const read = (value: MessageInitShape<typeof ValueSchema>) =>
  scoringForm(create(DataInputSchema, { form: { case: "inputs", value } }));

test.each([
  ["after the year 9999", 253_402_300_800n, 0],
  ["before the year 1", -62_135_596_801n, 0],
  ["with more nanoseconds than a second has", 0n, 1_000_000_000],
  ["with nanoseconds below zero", 0n, -1],
])("a time %s is refused, since no datetime holds it", (_, seconds, nanos) => {
  const error = refusal(() => read({ kind: { case: "datetimeValue", value: { seconds, nanos } } }));
  expect(error.reason).toBe("INVALID_FIELD");
  expect(error.violations).toEqual([{ field: "input.inputs", description: expect.stringContaining("year 1 to 9999") }]);
});

test("a tensor of more dimensions than numpy has is refused before anybody walks through them", () => {
  const tensor = (dimensions: number) =>
    read({
      kind: {
        case: "tensorValue",
        value: { type: TensorType.FLOAT, shape: Array(dimensions).fill(1n), data: new Uint8Array(4) },
      },
    });
  expect(tensor(64).form).toBe("inputs");
  expect(refusal(() => tensor(65)).violations).toEqual([
    { field: "input.inputs.shape", description: "must have at most 64 sizes, got 65" },
  ]);
});

test.each([[[2 ** 40, 0]], [[1024, 1024, 0]]])(
  "an array of no items and shape %j is not written as that many lists",
  (shape) => {
    const error = refusal(() => scoringOutput(NdArray.ofBytes("float32", shape, new Uint8Array())));
    expect(error.reason).toBe("LIMIT_EXCEEDED");
  },
);

test("a tensor of no items in too many lists is refused, however it is typed", () => {
  for (const type of [TensorType.FLOAT, TensorType.STRING]) {
    const error = refusal(() => read({ kind: { case: "tensorValue", value: { type, shape: [30_000_000n, 0n] } } }));
    expect(error.violations).toEqual([
      {
        field: "input.inputs.shape",
        description: "says that there are no items, in more than a million lists, got [30000000, 0]",
      },
    ]);
  }
});

test("an array of no items is written as the lists that it has", () => {
  expect(scoringOutput(NdArray.ofBytes("float32", [2, 0, 2 ** 40], new Uint8Array()))).toEqual([[], []]);
});

test("whole numbers up to 64 bits arrive as they are, larger ones are refused and not rounded", () => {
  const kind = (value: bigint) => create(ValueSchema, valueMessage(value)).kind;
  expect(kind(-(2n ** 63n))).toEqual({ case: "intValue", value: -(2n ** 63n) });
  const wide = kind(2n ** 64n - 1n);
  expect(wide).toMatchObject({ case: "tensorValue", value: { type: TensorType.UINT64, shape: [] } });
  expect(wide.case === "tensorValue" && wide.value.data).toEqual(new Uint8Array(8).fill(255));
  expect(() => kind(2n ** 64n)).toThrow(/more than 64 bits.*JSON body/);
});
