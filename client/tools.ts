// Functions that a model may ask for, and the calls that it makes of them. It must never call one.
import type { FromSchema } from "./json-schema.ts";

/** A function that the model may ask the caller to call. */
export interface Tool<Name extends string = string, Parameters extends object | undefined = object | undefined> {
  /** Letters, digits, _ and -, at most 64. */
  readonly name: Name;
  /** What it does, for the model. */
  readonly description?: string;
  /** JSON Schema of its arguments, an object; absent means none. Written in place, it types the calls. */
  readonly parameters?: Parameters;
  /** Answers a call, for {@link Chat.runTools}: its result goes back to the model, what is no text as JSON. */
  call?(given: ArgumentsOf<Parameters>, signal: AbortSignal | undefined): unknown;
}

/** A tool, with the exact types of its name and its parameters: the calls of an answer are typed by them. */
export function tool<const Name extends string, const Parameters extends object | undefined = undefined>(
  described: Tool<Name, Parameters>,
): Tool<Name, Parameters> {
  return described;
}

/** Whether tools are called: as the model decides, never, at least one, or the one of this name. */
export type ToolChoice<Name extends string = string> = "auto" | "none" | "required" | { readonly name: Name };

/** A call as a message of the conversation carries it: data that may be kept as JSON. */
export interface ToolCallData {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly argumentsJson: string;
}

/** A call that a model asks for. Its result goes back as a message with the role "tool" and this call's id. */
export class ToolCall<Name extends string = string, Arguments = unknown> implements ToolCallData {
  constructor(
    readonly id: string,
    readonly name: Name,
    readonly argumentsJson: string,
  ) {}

  /**
   * The arguments, read anew each time. They fit the function's schema, unless the answer was cut off.
   *
   * @throws SyntaxError when the answer was cut off in the middle of them.
   */
  arguments(): Arguments {
    return JSON.parse(this.argumentsJson) as Arguments;
  }

  /** The message that gives the model this call's result; what is no text goes as JSON. */
  result(value: unknown): { role: "tool"; content: string; toolCallId: string } {
    return {
      role: "tool",
      content: typeof value === "string" ? value : (JSON.stringify(value) ?? "null"),
      toolCallId: this.id,
    };
  }
}

/** The calls that may come of some tools: their name says which arguments they have. */
export type CallOf<T> = T extends Tool<infer Name, infer Parameters> ? ToolCall<Name, ArgumentsOf<Parameters>> : never;

type ArgumentsOf<Parameters> = [Parameters] extends [undefined] ? Record<string, never> : FromSchema<Parameters>;
