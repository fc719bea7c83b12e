// Switches off ONNX Runtime's telemetry before the library is first used. Imports nothing, so that a
// process can call it ahead of everything else; it must never load the library itself.
//
// onnxruntime 1.30 on Linux ships with telemetry on: at first use it writes a device id and an event
// database under `$XDG_CACHE_HOME|~/.cache/Microsoft/DeveloperTools/.onnxruntime`. The native code reads
// the real process environment, which only the main thread's `process.env` writes through to: a worker's
// own `process.env` is a copy. `DisableTelemetryEvents` after `CreateEnv` comes too late.

const variable = "ORT_DISABLE_TELEMETRY";

/** Call in the main thread before anything opens the runtime, in this thread or in a worker. */
export function disableTelemetry(): void {
  process.env[variable] = "1";
}

/** @throws Error when telemetry has not been switched off; a worker calls this before it opens the runtime. */
export function assertTelemetryDisabled(): void {
  const value = process.env[variable];
  if (value === "1" || value === "true") return;
  throw new Error(
    `${variable} is ${value === undefined ? "not set" : JSON.stringify(value)}: call disableTelemetry() in the main ` +
      "thread before the inference worker starts, or set the variable to 1 for the process.",
  );
}
