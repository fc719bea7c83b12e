// Reads the words after a command: flags, their values, and what is left. It must never know what they are for.
import type { ParseArgsConfig } from "node:util";
import { parseArgs } from "node:util";
import { UsageError } from "./command.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<T extends Options> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; strict: true }>>;

/**
 * Flags and positionals of a command.
 *
 * @param names what the positionals are called in messages; as many must be given
 * @throws UsageError that names the nearest flag when one is unknown.
 */
export function parseFlags<T extends Options>(
  args: readonly string[],
  options: T,
  names: readonly string[],
): Parsed<T> {
  let parsed: Parsed<T>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw asUsageError(error, Object.keys(options));
  }
  const missing = names[parsed.positionals.length];
  if (missing) throw new UsageError(`${missing} is missing`);
  const extra = parsed.positionals[names.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument "${extra}"`);
  return parsed;
}

/** What a word behind a command stands for. @throws UsageError that names the nearest word when there is no such one. */
export function behind<T>(command: string, word: string, meanings: Readonly<Record<string, T>>): T {
  const meaning = Object.hasOwn(meanings, word) ? meanings[word] : undefined;
  if (meaning !== undefined) return meaning;
  const known = Object.keys(meanings);
  const near = nearest(word, known);
  const what = word === "" ? `a word behind ${command} is missing` : `unknown word "${word}" behind ${command}`;
  throw new UsageError(what, near ? `did you mean: modelwire ${command} ${near}?` : `there are ${known.join(", ")}`);
}

/** A number behind a flag; undefined when the flag is absent. @throws UsageError when it is none. */
export function numberFlag(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number)) throw new UsageError(`--${flag} takes a number, not "${value}"`);
  return number;
}

/** `name=value` behind a flag that may be repeated. @throws UsageError when there is no "=". */
export function pairsFlag(flag: string, values: readonly string[] = []): [name: string, value: string][] {
  return values.map((value) => {
    const at = value.indexOf("=");
    if (at < 1) throw new UsageError(`--${flag} takes name=value, not "${value}"`);
    return [value.slice(0, at), value.slice(at + 1)];
  });
}

/** The usage error behind what node:util's parseArgs throws; anything else comes back as it is. */
export function asUsageError(error: unknown, known: readonly string[]): unknown {
  if (!(error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))) return error;
  const flag = /^Unknown option '(-{1,2})([^'=]+)/.exec(error.message);
  if (!flag) return new UsageError(error.message.replace(/\. .*/s, ""));
  const near = nearest(flag[2] ?? "", known);
  return new UsageError(`unknown flag ${flag[1]}${flag[2]}`, near ? `did you mean --${near}?` : undefined);
}

/** The known word that a mistyped one is most likely meant to be; undefined when none is close. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known.map((name) => ({ name, distance: editDistance(word, name) }));
  const best = ranked.sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.name : undefined;
}

/** Letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
