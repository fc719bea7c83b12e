import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { OrtError, RunTerminatedError, RuntimeUnavailableError } from "../../server/onnx/errors.ts";
import { libraryPath, pinnedVersion } from "../../server/onnx/library.ts";
import { Runtime } from "../../server/onnx/runtime.ts";
import { selfTest } from "../../server/onnx/self-test.ts";
import { assertTelemetryDisabled, disableTelemetry } from "../../server/onnx/telemetry.ts";

const model = fileURLToPath(new URL("../fixtures/onnx/tiny-fp32/model.onnx", import.meta.url));
const runtime = new Runtime();
afterAll(() => runtime.close());

describe("the runtime", () => {
  test("is of the version that was tried, and passes its own test", async () => {
    expect(runtime.version).toBe(pinnedVersion);
    await selfTest(runtime);
  });

  test("fails its own test when the library computes something else", async () => {
    const lying = Object.create(runtime, {
      // The self-test's second tensor is the output: lay it over the input.
      tensor: {
        value: (buffer: never, _offset: number, type: never, dims: never) => runtime.tensor(buffer, 0, type, dims),
      },
      allocate: { value: (bytes: number) => runtime.allocate(bytes) },
      bind: { value: (i: string[], o: string[]) => runtime.bind(i, o) },
      runControl: { value: () => runtime.runControl() },
      openSessionFromBytes: { value: (bytes: Uint8Array) => runtime.openSessionFromBytes(bytes) },
      version: { value: "0" },
    }) as Runtime;
    await expect(selfTest(lying)).rejects.toThrow(RuntimeUnavailableError);
  });

  test("tells names, types and dimensions of a graph", async () => {
    const session = await runtime.openSession(model);
    expect(session.inputs[0]).toEqual({ name: "input_ids", type: "int64", dims: ["batch_size", "sequence_length"] });
    expect(session.inputs.at(-1)).toEqual({
      name: "past_key_values.1.value",
      type: "float32",
      dims: ["batch_size", 2, "past_sequence_length", 16],
    });
    expect(session.outputs[0]).toEqual({
      name: "logits",
      type: "float32",
      dims: ["batch_size", "sequence_length", 384],
    });
    await session.dispose();
  });

  test("gives ONNX Runtime's own words and code for what it refuses", async () => {
    await expect(runtime.openSession("/no/such/model.onnx")).rejects.toMatchObject({ name: "OrtError", code: 3 });
    await expect(runtime.openSessionFromBytes(Buffer.from("no protobuf"))).rejects.toBeInstanceOf(OrtError);
    await expect(runtime.openSession(model, { entries: { "": "x" } })).rejects.toBeInstanceOf(OrtError);
  });

  test("gives memory that stays where it is, aligned, over many collections", () => {
    const buffers = Array.from({ length: 50 }, (_, i) => runtime.allocate(4 * (i + 1)));
    for (const [i, buffer] of buffers.entries()) new Int32Array(buffer.view).fill(i);
    for (let i = 0; i < 200; i++) new Array(10_000).fill(i);
    buffers.forEach((buffer, i) => {
      expect(new Int32Array(buffer.view).every((value) => value === i)).toBe(true);
      expect(buffer.address % 64n).toBe(0n);
      buffer.dispose();
      buffer.dispose();
      expect(() => buffer.view).toThrow("disposed");
    });
  });

  test("says that there is no memory, and goes on", () => {
    expect(() => runtime.allocate(2 ** 52)).toThrow(OrtError);
    runtime.allocate(64).dispose();
  });

  test("keeps memory as long as a tensor lies over it", () => {
    const buffer = runtime.allocate(64);
    const tensor = runtime.tensor(buffer, 0, "float32", [4, 4]);
    expect(() => buffer.dispose()).toThrow("live tensors");
    expect(() => runtime.tensor(buffer, 4, "float32", [4, 4])).toThrow(RangeError);
    tensor.dispose();
    tensor.dispose();
    buffer.dispose();
  });

  test("releases a session after the run in flight, and neither tensors nor twice during it", async () => {
    const { session, binding, tensors, control } = await negation(1 << 22);
    const running = session.run(binding, control);
    expect(() => tensors[0]!.dispose()).toThrow("during a run");
    const released = Promise.all([session.dispose(), session.dispose()]);
    await expect(session.run(binding, control)).rejects.toThrow("disposed");
    await running;
    await released;
  });

  test("refuses to run with an empty slot", async () => {
    const { session, control } = await negation(4);
    await expect(session.run(runtime.bind(["x"], ["y"]), control)).rejects.toThrow("empty slot");
    await session.dispose();
  });

  test("ends the next run when it is told to before, and runs again after a reset", async () => {
    const { session, binding, control } = await negation(1 << 10);
    control.terminate();
    await expect(session.run(binding, control)).rejects.toBeInstanceOf(RunTerminatedError);
    control.reset();
    await session.run(binding, control);
    await session.dispose();
    control.dispose();
    control.dispose();
  });
});

describe("the library", () => {
  test("is named with what is supported and what to do where there is none", () => {
    for (const [platform, arch] of [
      ["darwin", "x64"],
      ["freebsd", "x64"],
      ["linux", "ia32"],
    ] as const) {
      expect(() => libraryPath(platform, arch)).toThrow(RuntimeUnavailableError);
      expect(() => libraryPath(platform, arch)).toThrow(
        /linux x64, linux arm64, darwin arm64, win32 x64, win32 arm64.*container/,
      );
    }
  });
  test("is found for every supported platform", () => {
    for (const [platform, arch] of [
      ["linux", "x64"],
      ["linux", "arm64"],
      ["darwin", "arm64"],
      ["win32", "x64"],
      ["win32", "arm64"],
    ] as const) {
      expect(libraryPath(platform, arch)).toContain(`${platform}`);
    }
  });
});

test("telemetry must be off before the library is opened", () => {
  const before = process.env.ORT_DISABLE_TELEMETRY;
  try {
    delete process.env.ORT_DISABLE_TELEMETRY;
    expect(assertTelemetryDisabled).toThrow("disableTelemetry()");
    process.env.ORT_DISABLE_TELEMETRY = "0";
    expect(assertTelemetryDisabled).toThrow('"0"');
    disableTelemetry();
    assertTelemetryDisabled();
  } finally {
    process.env.ORT_DISABLE_TELEMETRY = before;
  }
});

/** A session of the decoder fixture's kind of run: y = -x over [length]. */
async function negation(length: number) {
  const session = await runtime.openSessionFromBytes(negationModel());
  const memory = runtime.allocate(8 * length);
  const tensors = [
    runtime.tensor(memory, 0, "float32", [length]),
    runtime.tensor(memory, 4 * length, "float32", [length]),
  ];
  const binding = runtime.bind(["x"], ["y"]);
  binding.setInput(0, tensors[0]!);
  binding.setOutput(0, tensors[1]!);
  return { session, binding, tensors, control: runtime.runControl() };
}

/** y = Neg(x) over a list of any length, as a ModelProto. */
function negationModel(): Uint8Array {
  const field = (number: number, bytes: number[]) => [(number << 3) | 2, bytes.length, ...bytes];
  const text = (number: number, value: string) => field(number, [...Buffer.from(value)]);
  const type = field(1, [8, 1, ...field(2, field(1, text(2, "n")))]);
  const value = (name: string) => [...text(1, name), ...field(2, type)];
  const graph = [
    ...field(1, [...text(1, "x"), ...text(2, "y"), ...text(4, "Neg")]),
    ...text(2, "g"),
    ...field(11, value("x")),
    ...field(12, value("y")),
  ];
  return Uint8Array.from([8, 8, ...field(7, graph), ...field(8, [...text(1, ""), 16, 13])]);
}
