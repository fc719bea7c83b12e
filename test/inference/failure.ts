// The error that a call to the inference host must end with.
import { expect } from "vitest";
import type { InferenceError } from "../../server/inference/host.ts";

export async function failure(promise: Promise<unknown>): Promise<InferenceError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: "InferenceError" });
  return error as InferenceError;
}
