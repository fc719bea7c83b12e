// The errors of `onnx/`: what the native library refuses, what a platform lacks, what a folder gets wrong.
import { dirname } from "node:path";

/** A field of an input and what is wrong with it. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** ONNX Runtime answered a call with a status. `code` is its OrtErrorCode (1 fail, 2 invalid argument, 3 no such file, 7 invalid protobuf …). */
export class OrtError extends Error {
  override readonly name = "OrtError";
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** What ONNX Runtime says against the file at `path`, without where that lies: it is told to clients, and a folder moves. */
export function refusalOf(error: OrtError, path: string): string {
  return `ONNX Runtime refuses it: ${error.message.replaceAll(`${dirname(path)}/`, "")}`;
}

/** The native library cannot be used here: no build for the platform, another version, a failed self-test. */
export class RuntimeUnavailableError extends Error {
  override readonly name = "RuntimeUnavailableError";
}

/** A run was ended by `terminate()`. Nothing is wrong: the positions it was computing are not valid, earlier ones are. */
export class RunTerminatedError extends Error {
  override readonly name = "RunTerminatedError";
  constructor() {
    super("The run was terminated.");
  }
}

/** A model folder that cannot be served, with every reason found and not only the first. */
export class ModelFolderError extends Error {
  override readonly name = "ModelFolderError";
  readonly violations: readonly Violation[];
  constructor(message: string, violations: readonly Violation[]) {
    super(`${message} ${violations.map((v) => `${v.field}: ${v.description}`).join(" ")}`);
    this.violations = violations;
  }
}

/** A graph cannot be run on these tensors, with every reason found and not only the first. */
export class GraphInputError extends Error {
  override readonly name = "GraphInputError";
  readonly violations: readonly Violation[];
  constructor(violations: readonly Violation[]) {
    super(`The graph cannot be run. ${violations.map((v) => `${v.field}: ${v.description}`).join(" ")}`);
    this.violations = violations;
  }
}
