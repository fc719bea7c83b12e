// Proves at start that the C API is called as it should be: a model of one node, made here byte by byte, is
// loaded, run and compared. A wrong slot or signature shows now, not in somebody's answer.

import { RuntimeUnavailableError } from "./errors.ts";
import type { Runtime } from "./runtime.ts";

/** @throws RuntimeUnavailableError when the library does not compute y = -x */
export async function selfTest(runtime: Runtime): Promise<void> {
  const numbers = [1, -2, 3.5, 0.25];
  try {
    const session = await runtime.openSessionFromBytes(negation(numbers.length), { intraOpThreads: 1 });
    const memory = runtime.allocate(2 * 4 * numbers.length);
    const x = runtime.tensor(memory, 0, "float32", [numbers.length]);
    const y = runtime.tensor(memory, 4 * numbers.length, "float32", [numbers.length]);
    const binding = runtime.bind(["x"], ["y"]);
    const control = runtime.runControl();
    try {
      const floats = new Float32Array(memory.view);
      floats.set(numbers);
      binding.setInput(0, x);
      binding.setOutput(0, y);
      await session.run(binding, control);
      const answer = [...floats.subarray(numbers.length)];
      if (answer.some((value, index) => value !== -numbers[index]!)) throw new Error(`-[${numbers}] gave [${answer}]`);
    } finally {
      await session.dispose();
      for (const owned of [control, binding, x, y, memory]) owned.dispose();
    }
  } catch (error) {
    throw new RuntimeUnavailableError(
      `ONNX Runtime ${runtime.version} failed its self-test: ${(error as Error).message}. ` +
        "Reinstall onnxruntime-node and koffi at the versions of the lock file.",
    );
  }
}

/** A ModelProto (onnx.proto3): graph y = Neg(x), both float [length], opset 13. */
function negation(length: number): Uint8Array {
  const dim = field(1, varint(1, length));
  const type = field(1, [...varint(1, 1), ...field(2, dim)]); // TypeProto.tensor_type {elem_type FLOAT, shape}
  const value = (name: string) => [...text(1, name), ...field(2, type)];
  const node = [...text(1, "x"), ...text(2, "y"), ...text(4, "Neg")];
  const graph = [...field(1, node), ...text(2, "g"), ...field(11, value("x")), ...field(12, value("y"))];
  const opset = [...text(1, ""), ...varint(2, 13)];
  return Uint8Array.from([...varint(1, 8), ...field(7, graph), ...field(8, opset)]);
}

// Protobuf's wire format, for lengths and numbers below 128.
const varint = (number: number, value: number) => [number << 3, value];
const field = (number: number, bytes: readonly number[]) => [(number << 3) | 2, bytes.length, ...bytes];
const text = (number: number, value: string) => field(number, [...Buffer.from(value)]);
