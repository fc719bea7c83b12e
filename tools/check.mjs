// Every static check, one after the other, all of them even when one fails:
//   npm run check
// It needs nothing beyond what `npm ci` installed. `npm run generate`, `npm run format` and `npm run baseline` mend
// what the checks of the same name find.
import { spawnSync } from "node:child_process";

const OURS = ["--exclude-path", "proto/google", "--exclude-path", "proto/grpc"];

const CHECKS = [
  ["proto lint", ["buf", "lint"]],
  ["proto format", ["buf", "format", "-d", "--exit-code", ...OURS]],
  // The committed image is the wire contract; a clone without history can check against it too.
  ["proto breaking", ["buf", "breaking", "proto", "--against", "proto/baseline.binpb"]],
  ["generated code is current", ["node", "tools/regenerate-and-diff.mjs"]],
  ["format and lint", ["biome", "ci", "--colors=off", "--error-on-warnings", "."]],
  ["types", ["tsc", "-b"]],
  ["types of tests and examples", ["tsc", "-p", "test"]],
];

let failed = 0;
for (const [name, [command, ...args]] of CHECKS) {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (status === 0) continue;
  failed += 1;
  console.log(`$ ${[command, ...args].join(" ")}\n${stdout ?? ""}${stderr ?? ""}`);
}
console.log(`checks: ${CHECKS.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
