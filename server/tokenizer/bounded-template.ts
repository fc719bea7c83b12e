// A Jinja template that comes with a model, rendered in bounded time and memory: it is a program that strangers wrote, and
// it runs where every other model's tokens are made. It knows no messages.
import { Environment, Interpreter, Template } from "@huggingface/jinja";

/** Milliseconds for one rendering; real templates take a thousandth of it. */
const MAX_MS = 2000;
/** Items of one list, characters of one text. Beyond about a hundred million items V8 ends the whole process. */
const MAX_ITEMS = 100_000;
const MAX_CHARACTERS = 1 << 24;

/** The part of the library's interpreter that is used here; its own types cannot be resolved. */
interface Evaluator {
  run(program: unknown): { readonly value: unknown };
  /** Every statement and expression comes through here. */
  evaluate(node: unknown, environment: unknown): { readonly value: unknown };
}

/** @throws Error with the template's own message, the interpreter's, or that of a bound. */
export function renderBounded({ parsed }: Template, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  const interpreter: Evaluator = new Interpreter(environment);
  const evaluate = interpreter.evaluate.bind(interpreter);
  const endMs = performance.now() + MAX_MS;
  interpreter.evaluate = (node, scope) => {
    if (performance.now() > endMs) throw new Error(`it takes longer than ${MAX_MS} ms`);
    const result = evaluate(node, scope);
    checkSize(result.value);
    return result;
  };
  return String(interpreter.run(parsed).value);
}

function checkSize(value: unknown): void {
  if (Array.isArray(value)) checkItems(value.length);
  else if (value instanceof Map) checkItems(value.size);
  else if (typeof value === "string" && value.length > MAX_CHARACTERS)
    throw new Error(`it makes a text of more than ${MAX_CHARACTERS} characters`);
}

function checkItems(count: number): void {
  if (!(count <= MAX_ITEMS)) throw new Error(`it makes a list of more than ${MAX_ITEMS} items`);
}

/** What the library gives a template, `range` bounded. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range: (from: number, to?: number | null, step = 1) => {
    const [first, end] = typeof to === "number" ? [from, to] : [0, from];
    if (step === 0) throw new Error("range() step must not be zero");
    const count = Math.max(0, Math.ceil((end - first) / step));
    checkItems(count);
    return Array.from({ length: count }, (_, i) => first + i * step);
  },
  strftime_now: (format: string) => new Template("{{ strftime_now(format) }}").render({ format }),
};
