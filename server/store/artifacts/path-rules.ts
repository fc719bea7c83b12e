// Which paths a file may be uploaded to, on any operating system. Pure; it must never look at a disk.
import { type FieldViolation, invalidFields } from "@modelwire/proto";

const MAX_PATH_BYTES = 1024;
const MAX_PART_BYTES = 255;

/** Names that mean a device in Windows, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Every reason why `path` is refused, each with what would be right; none for a good path. */
export function pathProblems(path: string): string[] {
  if (path === "") return ["is empty; give the file's place in the model folder, such as genai_config.json"];
  const problems: string[] = [];
  const problem = (text: string) => problems.push(text);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_PATH_BYTES) problem(`has ${bytes} bytes, more than ${MAX_PATH_BYTES}; use shorter names`);
  if (path.startsWith("/")) problem("is absolute; give it relative to the model folder");
  if (/^[A-Za-z]:/.test(path)) problem("begins with a drive letter; give it relative to the model folder");
  else if (path.includes(":"))
    problem('contains ":", which names another stream of a file on Windows; rename the file');
  if (path.includes("\\")) problem('contains a backslash; parts are separated by "/" on every system');
  if (CONTROL.test(path)) problem("contains a control character; rename the file");
  if (Buffer.from(path).toString() !== path) problem("is no well-formed Unicode text; rename the file");
  const parts = path.replace(/^\/+/, "").split("/");
  if (parts.includes("")) problem('has an empty part; write one "/" between parts and none at the end');
  for (const part of new Set(parts)) {
    if (part === "." || part === "..") problem(`contains the part "${part}"; give the path without it`);
    else if (/[. ]$/.test(part)) problem(`has the part "${show(part)}" ending in a dot or space; rename it`);
    if (Buffer.byteLength(part) > MAX_PART_BYTES)
      problem(`has a part of ${Buffer.byteLength(part)} bytes, more than ${MAX_PART_BYTES}; use a shorter name`);
    if (DEVICE.test(part)) problem(`has the part "${show(part)}", a device name in Windows; rename it`);
  }
  return problems;
}

/** The paths of one folder. Refuses what cannot lie beside what is there already, on any file system. */
export class PathSet {
  /** As a file system may fold it → as it was first written, and what it is. */
  readonly #entries = new Map<string, { spelled: string; kind: "file" | "folder" }>();

  /** Adds a good path, or gives the reasons why not and adds nothing. */
  add(path: string): string[] {
    const problems = pathProblems(path);
    if (problems.length > 0) return problems;
    const parts = path.split("/");
    const added: [string, { spelled: string; kind: "file" | "folder" }][] = [];
    for (let length = 1; length <= parts.length; length++) {
      const spelled = parts.slice(0, length).join("/");
      const kind = length === parts.length ? "file" : "folder";
      const key = folded(spelled);
      const there = this.#entries.get(key);
      const clash = there && clashOf(there, spelled, kind);
      if (clash) return [clash];
      if (!there) added.push([key, { spelled, kind }]);
    }
    for (const [key, entry] of added) this.#entries.set(key, entry);
    return [];
  }

  /** Takes a file's path out again; the folders on its way stay folders. */
  delete(path: string): void {
    this.#entries.delete(folded(path));
  }
}

/** @throws ApiError INVALID_PATH with one violation for each problem; nothing when there are none. */
export function refusePath(path: string, problems: readonly string[], field = "file_start.path"): void {
  if (problems.length === 0) return;
  const violations = problems.map((text): FieldViolation => ({ field, description: `"${show(path)}" ${text}` }));
  throw invalidFields(violations, "INVALID_PATH");
}

function clashOf(there: { spelled: string; kind: string }, spelled: string, kind: string): string | undefined {
  if (there.spelled !== spelled)
    return `differs from "${show(there.spelled)}" only in case or Unicode form, so that some systems would keep one of them; rename it`;
  if (there.kind === "file" && kind === "file") return "was sent already; send each file once";
  if (there.kind === "file") return `needs "${show(spelled)}" to be a folder, but that was sent as a file`;
  if (kind === "file") return "was sent already as a folder of other files; rename it";
  return undefined;
}

/** One key for all spellings that a case-blind or normalising file system takes for the same. */
function folded(path: string): string {
  return path.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}

/** For a message: without control characters and not too long. */
function show(text: string): string {
  const clean = text.replace(new RegExp(CONTROL, "g"), "�");
  return clean.length <= 200 ? clean : `${clean.slice(0, 199)}…`;
}
