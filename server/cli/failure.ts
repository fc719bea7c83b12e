// Says what went wrong and what to do about it. It must never decide whether something went wrong.
import { ApiError, Code } from "@modelwire/client";
import type { Io } from "./command.ts";
import { Interrupted, UsageError } from "./command.ts";
import { printable } from "./words.ts";

/** Prints an error. @returns the exit code: 2 for a wrong command line, 130 or 143 after a signal, else 1. */
export function reportFailure(error: unknown, io: Io, command?: string): number {
  const say = (line: string) => io.stderr.write(`${printable(line)}\n`);
  const interrupt = io.signal.reason;
  if (io.signal.aborted && interrupt instanceof Interrupted) {
    say("interrupted");
    return interrupt.exitCode;
  }
  if (error instanceof UsageError) {
    say(`modelwire: ${error.message}`);
    if (error.hint) say(`  ${error.hint}`);
    say(`  see: modelwire ${command ? `${command} ` : ""}--help`);
    return 2;
  }
  if (error instanceof ApiError) {
    for (const line of failureLines(error)) say(line);
    return 1;
  }
  const text = error instanceof Error ? error.message : String(error);
  say(`modelwire: ${text}`);
  if (error instanceof Error && io.env.MODELWIRE_DEBUG) say(error.stack ?? "");
  return 1;
}

/** Message and reason, then each violation, the request id, and what to do. */
export function failureLines(error: ApiError): string[] {
  const codes = [error.codeName, error.reason].filter(Boolean).join(", ");
  // The message of a request with wrong fields repeats them; here they have lines of their own.
  const [first] = error.violations;
  const listed = first && (error.message.startsWith(`${first.field}: `) || error.message === first.description);
  const advice = adviceFor(error);
  return [
    `modelwire: ${listed ? "the request was refused" : error.message} (${codes})`,
    ...error.violations.map(({ field, description }) => `  ${field === "" ? "" : `${field}: `}${description}`),
    ...(error.retryAfterMs ? [`  try again in ${Math.ceil(error.retryAfterMs / 1000)} s`] : []),
    ...(error.requestId ? [`  request id, for the server's log: ${error.requestId}`] : []),
    ...(advice ? [`  ${advice}`] : []),
  ];
}

function adviceFor(error: ApiError): string | undefined {
  switch (error.reason) {
    case "MODEL_NOT_FOUND":
    case "MODEL_NOT_READY":
      return "see what there is: modelwire models list";
    case "SCHEMA_ENFORCEMENT_FAILED":
      return "see what it takes: modelwire signature show <model>";
    case "ARTIFACT_NOT_FOUND":
      return "see its files: modelwire models files <model>";
    case "CONTEXT_OVERFLOW":
      return "ask for less with --max-tokens, or begin a new conversation (/reset)";
    case "CACHE_TOO_SMALL":
      return "ask for less with --max-tokens, or start the server with more --cache-tokens";
    case "MODEL_MEMORY_FULL":
      return "unload one that is not needed: modelwire models loaded, modelwire models unload <model>";
    case "TOOLS_NOT_SUPPORTED":
      return "take a model whose chat template knows tools, or leave --tools out";
    case "REQUEST_ID_REUSED":
      return "take another --request-id, or leave it out";
    case "DIGEST_MISMATCH":
      return "run the same command again";
    case "SHUTTING_DOWN":
      return "try again when the server is back";
    default:
  }
  switch (error.code) {
    case Code.RESOURCE_EXHAUSTED:
      // What gRPC itself says of a message has no reason.
      return error.reason ? undefined : "send less at a time, or start the server with a larger --max-message-bytes";
    case Code.UNAVAILABLE:
      return "start a server with: modelwire serve; or name another one with --address";
    case Code.UNIMPLEMENTED:
      return "this address answers gRPC, but it is no Modelwire server, or an older one";
    case Code.UNAUTHENTICATED:
    case Code.PERMISSION_DENIED:
      return "check --tls-cert and --tls-key";
    default:
      return undefined;
  }
}
