// A loaded model and the runs on it. Guard 4 of c-api.ts: a session is released once, after its last run.
// It knows names, types and tensors; what they mean is the runner's business.

import { type CApi, callAsync, check, type Pointer } from "./c-api.ts";
import type { ElementType } from "./element-types.ts";
import { OrtError, RunTerminatedError } from "./errors.ts";
import type { NativeBuffer, Tensor } from "./memory.ts";

/** One input or output. A dimension is its size, or its symbolic name (possibly "") where it is free. */
export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

/** The switch of a stream of runs. It may be thrown from anywhere while a run is in flight. */
export class RunControl {
  readonly #api: CApi;
  /** For `Session` alone. */
  readonly pointer: Pointer;
  #terminated = false;
  #disposed = false;

  constructor(api: CApi, pointer: Pointer) {
    this.#api = api;
    this.pointer = pointer;
  }

  get terminated(): boolean {
    return this.#terminated;
  }

  /** The run in flight, or else the next one, rejects with RunTerminatedError between two operators of the graph. */
  terminate(): void {
    if (this.#terminated || this.#disposed) return;
    this.#terminated = true;
    check(this.#api, this.#api.setTerminate(this.pointer));
  }

  /** Allows runs again. */
  reset(): void {
    if (!this.#terminated || this.#disposed) return;
    this.#terminated = false;
    check(this.#api, this.#api.unsetTerminate(this.pointer));
  }

  /** Idempotent; not during a run. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#api.releaseRunOptions(this.pointer);
  }
}

/**
 * Names and tensors of a kind of run, laid out as ORT takes them. `set` fills a slot; slots keep their tensor between
 * runs. Where ORT makes the outputs, their slots stay empty, and `takeMade` is to be called after every run.
 */
export class Binding {
  readonly outputsMade: boolean;
  readonly inputs: (Tensor | null)[];
  readonly outputs: (Tensor | null)[];
  readonly #inputValues: BigUint64Array;
  readonly #outputValues: BigUint64Array;
  readonly #pointers: { inputNames: Pointer; inputValues: Pointer; outputNames: Pointer; outputValues: Pointer };
  readonly #memory: readonly NativeBuffer[];

  /** For `Runtime.bind` alone. */
  constructor(
    sizes: { inputs: number; outputs: number },
    pointers: { inputNames: Pointer; inputValues: NativeBuffer; outputNames: Pointer; outputValues: NativeBuffer },
    memory: readonly NativeBuffer[],
    outputsMade: boolean,
  ) {
    this.outputsMade = outputsMade;
    this.inputs = new Array<Tensor | null>(sizes.inputs).fill(null);
    this.outputs = new Array<Tensor | null>(sizes.outputs).fill(null);
    this.#inputValues = new BigUint64Array(pointers.inputValues.view, 0, sizes.inputs);
    this.#outputValues = new BigUint64Array(pointers.outputValues.view, 0, sizes.outputs);
    this.#pointers = {
      ...pointers,
      inputValues: pointers.inputValues.address,
      outputValues: pointers.outputValues.address,
    };
    this.#memory = memory;
  }

  setInput(index: number, tensor: Tensor): void {
    this.inputs[index] = tensor;
    this.#inputValues[index] = tensor.pointer;
  }

  setOutput(index: number, tensor: Tensor): void {
    this.outputs[index] = tensor;
    this.#outputValues[index] = tensor.pointer;
  }

  /** Empties every slot, so that nothing is kept alive by it. */
  clear(): void {
    this.inputs.fill(null);
    this.outputs.fill(null);
    this.#inputValues.fill(0n);
    this.#outputValues.fill(0n);
  }

  /** The values that ORT made in the last run, by slot; the caller releases them. Empty after a run that failed. */
  takeMade(): Pointer[] {
    const made = [...this.#outputValues].filter((pointer) => pointer !== 0n);
    this.#outputValues.fill(0n);
    return made;
  }

  /** The arguments of `Run` after the session and the run options. */
  get arguments(): unknown[] {
    const p = this.#pointers;
    return [p.inputNames, p.inputValues, this.inputs.length, p.outputNames, this.outputs.length, p.outputValues];
  }

  /** Frees the name and value arrays, not the tensors. */
  dispose(): void {
    for (const buffer of this.#memory) buffer.dispose();
  }
}

/** A loaded model. */
export class Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #api: CApi;
  readonly #pointer: Pointer;
  readonly #held: readonly Tensor[];
  #running = 0;
  #whenIdle: (() => void) | undefined;
  #disposal: Promise<void> | undefined;

  /** @param held tensors that the model reads in every run; they cannot be disposed before it */
  constructor(
    api: CApi,
    pointer: Pointer,
    values: { inputs: ValueInfo[]; outputs: ValueInfo[] },
    held: readonly Tensor[] = [],
  ) {
    this.#api = api;
    this.#pointer = pointer;
    this.#held = held;
    for (const tensor of held) tensor.pin(1);
    this.inputs = values.inputs;
    this.outputs = values.outputs;
  }

  /**
   * Runs the model once, on another thread; the tensors of `binding` are read and written in place.
   * @throws RunTerminatedError after `control.terminate()`, OrtError for anything the graph refuses
   */
  async run(binding: Binding, control: RunControl): Promise<void> {
    if (this.#disposal) throw new Error("This session has been disposed.");
    const tensors = binding.outputsMade ? [...binding.inputs] : [...binding.inputs, ...binding.outputs];
    if (tensors.includes(null)) throw new Error("A run was started with an empty slot.");
    this.#running++;
    for (const tensor of tensors) tensor?.pin(1);
    try {
      await callAsync(this.#api, (done) => {
        this.#api.run.async(this.#pointer, control.pointer, ...binding.arguments, done);
      });
    } catch (error) {
      if (error instanceof OrtError && control.terminated) throw new RunTerminatedError();
      throw error;
    } finally {
      for (const tensor of tensors) tensor?.pin(-1);
      if (--this.#running === 0) this.#whenIdle?.();
    }
  }

  /** Waits for the runs in flight, then releases the model. Idempotent. Terminate the runs first to be quick. */
  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      if (this.#running > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
      this.#api.releaseSession(this.#pointer);
      for (const tensor of this.#held) tensor.pin(-1);
    })();
    return this.#disposal;
  }
}
