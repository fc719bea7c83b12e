// Compiles programs with the repository's TypeScript, as a user with strict settings would, all in one run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** @param files name to text. @returns name to the codes of its errors, in order; a name without errors is missing. */
export function compile(files: Readonly<Record<string, string>>): Record<string, string[]> {
  const folder = mkdtempSync(join(tmpdir(), "modelwire-codegen-"));
  try {
    const options = {
      ...{ target: "es2023", lib: ["es2023", "esnext.disposable"], module: "nodenext", strict: true, noEmit: true },
      ...{ noUncheckedIndexedAccess: true, noUnusedLocals: true, verbatimModuleSyntax: true, isolatedModules: true },
      ...{ skipLibCheck: true, allowImportingTsExtensions: true, typeRoots: [join(ROOT, "node_modules/@types")] },
      types: ["node"],
      paths: Object.fromEntries(
        ["proto", "client"].map((name) => [`@modelwire/${name}`, [join(ROOT, name, "index.ts")]]),
      ),
    };
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.ts"] }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const tsc = join(ROOT, "node_modules/.bin/tsc");
    const { stdout, stderr, error } = spawnSync(tsc, ["-p", folder, "--pretty", "false"], { encoding: "utf8" });
    if (error) throw error;
    const errors: Record<string, string[]> = {};
    for (const line of `${stdout}${stderr}`.split("\n")) {
      const [, file = "", code = ""] = /^(\S+?)\(\d+,\d+\): error (TS\d+):/.exec(line) ?? [];
      const name = file.split("/").at(-1) ?? "";
      if (code !== "") errors[name] = [...(errors[name] ?? []), code];
      else if (/error TS/.test(line)) throw new Error(line);
    }
    return errors;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
