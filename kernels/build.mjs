// Builds the native operators with one pinned compiler, `zig cc`, which makes every platform's library on any of them:
//   node kernels/build.mjs             every platform, into kernels/prebuilt/
//   node kernels/build.mjs --host      this machine's only
//   node kernels/build.mjs --check     builds all elsewhere and compares byte for byte with what is committed
//   node kernels/build.mjs --test [--sanitize | --target linux-arm64]
//        builds and runs test/*_test.c here; --sanitize with gcc's address and undefined-behaviour sanitizers, --target
//        linux-arm64 under qemu-aarch64 (Debian's qemu-user)
//   node kernels/build.mjs --abi HEADER    holds ort.h against ONNX Runtime's onnxruntime_c_api.h
// Zig is taken from PyPI (the package ziglang, 130 MB) into the user's cache folder unless ZIG names one.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { clearTimestamps } from "./pe-timestamps.mjs";

const zigVersion = "0.17.1";
/** Of all platforms together. */
const maxBytes = 1_000_000;

const here = dirname(fileURLToPath(import.meta.url));
const platforms = {
  // The oldest glibc that onnxruntime-node and Node 20 run on is younger.
  "linux-x64": { target: "x86_64-linux-gnu.2.17", library: "libmodelwire.so" },
  "linux-arm64": { target: "aarch64-linux-gnu.2.17", library: "libmodelwire.so" },
  "darwin-arm64": { target: "aarch64-macos.11.0", library: "libmodelwire.dylib" },
  "darwin-x64": { target: "x86_64-macos.11.0", library: "libmodelwire.dylib" },
  "win32-x64": { target: "x86_64-windows-gnu", library: "modelwire.dll" },
};

/** What each system's linker must be told so that nothing is left open, and the same sources make the same bytes. */
const linking = {
  linux: ["-lm", "-Wl,-z,defs", "-Wl,-z,now", "-Wl,--build-id=none"],
  darwin: ["-Wl,-install_name,@rpath/libmodelwire.dylib"], // else the path of the file that is being made
};

// Sums and products are joined only where the code says fma: every platform computes the same bits.
const common = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-g0"];
const warnings = ["-Wall", "-Wextra", "-Werror"];
const x64 = ["-mavx2", "-mfma", "-mf16c"];
/** What the name of a file says about the processor it is for. */
const families = {
  avx512: {
    arch: "x64",
    flags: [...x64, ..."f bw dq vl vnni".split(" ").map((part) => `-mavx512${part}`), "-mprefer-vector-width=512"],
  },
  avxvnni: { arch: "x64", flags: [...x64, "-mavxvnni"] },
  avx2: { arch: "x64", flags: x64 },
  neon: { arch: "arm64", flags: ["-mcpu=generic+v8_2a+dotprod+fullfp16"] },
  i8mm: { arch: "arm64", flags: ["-mcpu=generic+v8_2a+dotprod+fullfp16+i8mm"] },
};

const { values } = parseArgs({
  options: {
    host: { type: "boolean" },
    check: { type: "boolean" },
    test: { type: "boolean" },
    sanitize: { type: "boolean" },
    target: { type: "string" },
    abi: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
const host = `${process.platform}-${process.arch}`;

if (values.help) {
  const head = readFileSync(fileURLToPath(import.meta.url), "utf8").split("\nimport ")[0];
  console.log(head.replaceAll(/^\/\/ ?/gm, ""));
} else if (values.abi) {
  run("gcc", ["-fsyntax-only", `-I${here}`, `-DREAL_HEADER="${values.abi}"`, join(here, "test", "ort_abi.c")]);
  console.log(`ort.h says what ${basename(values.abi)} says`);
} else if (values.test) {
  test(values.target ?? host);
} else if (values.check) {
  check();
} else {
  for (const platform of values.host ? [host] : Object.keys(platforms)) build(platform, join(here, "prebuilt"));
  report(join(here, "prebuilt"));
}

/** Compiles every file for a platform and links them into `into`/platform/. */
function build(platform, into) {
  const { target, library } = of(platform);
  const folder = join(into, platform);
  mkdirSync(folder, { recursive: true });
  inScratch((scratch) => {
    const compiler = [...zig(), "cc", "-target", target, "-mcpu=baseline"];
    const flags = platform.startsWith("win32") ? [] : ["-fPIC"];
    const objects = compile(compiler, flags, sources(platform), scratch);
    const made = join(scratch, library);
    const link = linking[platform.split("-")[0]] ?? [];
    run(compiler[0], [...compiler.slice(1), "-shared", "-s", "-o", made, ...objects, ...link], { cwd: scratch });
    if (library.endsWith(".dll")) {
      const bytes = readFileSync(made);
      clearTimestamps(bytes);
      writeFileSync(made, bytes);
    }
    // As a new file: a process that has the old one open must not see it change.
    copyFileSync(made, join(folder, `${library}.new`));
    renameSync(join(folder, `${library}.new`), join(folder, library));
  });
}

/** @returns object files, in the order of the sources */
function compile(compiler, flags, files, scratch) {
  return files.map((file) => {
    const object = join(scratch, `${basename(file, ".c")}.o`);
    const family = families[familyOf(file)]?.flags ?? [];
    // Relative and from one folder: no path of this machine gets into what is made.
    const args = [...compiler.slice(1), ...common, ...warnings, ...family, ...flags, "-I.", "-c", file, "-o", object];
    run(compiler[0], args, { cwd: here });
    return object;
  });
}

function check() {
  inScratch((scratch) => {
    const different = Object.keys(platforms).filter((platform) => {
      build(platform, scratch);
      const file = join(platform, platforms[platform].library);
      const committed = join(here, "prebuilt", file);
      return !existsSync(committed) || !readFileSync(join(scratch, file)).equals(readFileSync(committed));
    });
    if (different.length > 0) {
      console.error(`not what the sources make: ${different.join(", ")}. Run node kernels/build.mjs and commit.`);
      process.exitCode = 1;
    } else report(join(here, "prebuilt"));
  });
}

/** Builds every test with the library's sources and runs it. */
function test(platform) {
  of(platform);
  const emulated = platform !== host;
  const compiler = values.sanitize
    ? ["gcc"]
    : [...zig(), "cc", "-target", emulated ? "aarch64-linux-musl" : platforms[platform].target, "-mcpu=baseline"];
  const flags = values.sanitize
    ? ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    : ["-O3"];
  const runner = emulated ? ["qemu-aarch64", "-cpu", "max"] : [];
  let failed = 0;
  inScratch((scratch) => {
    const objects = compile(compiler, flags, sources(platform), scratch);
    for (const file of tests(platform)) {
      const name = basename(file, ".c");
      const [object] = compile(compiler, flags, [join("test", file)], scratch);
      const program = join(scratch, name);
      const link = emulated ? ["-static"] : [];
      run(compiler[0], [...compiler.slice(1), ...flags, object, ...objects, ...link, "-pthread", "-lm", "-o", program]);
      const [command, ...args] = [...runner, program];
      const { status, signal } = spawnSync(command, args, { stdio: "inherit" });
      const ok = status === 0;
      console.log(
        `${ok ? "ok  " : "FAIL"} ${name} on ${platform}${values.sanitize ? ", sanitized" : ""} ${signal ?? ""}`,
      );
      if (!ok) failed++;
    }
  });
  process.exitCode = failed === 0 ? 0 : 1;
}

/** The library's files that a platform compiles. */
function sources(platform) {
  const arch = platform.split("-")[1];
  return readdirSync(here)
    .filter((file) => file.endsWith(".c"))
    .filter((file) => (families[familyOf(file)]?.arch ?? arch) === arch)
    .sort();
}

function tests(platform) {
  const arch = platform.split("-")[1];
  return readdirSync(join(here, "test"))
    .filter((file) => file.endsWith("_test.c"))
    .filter((file) => (families[familyOf(file)]?.arch ?? arch) === arch)
    .sort();
}

/** matmul_avx2.c → avx2 */
function familyOf(file) {
  return basename(file, ".c")
    .split("_")
    .find((part) => part in families);
}

function of(platform) {
  if (platform in platforms) return platforms[platform];
  console.error(`there is no ${platform}: there are ${Object.keys(platforms).join(", ")}`);
  process.exit(2);
}

/** The command of the pinned compiler. */
function zig() {
  if (process.env.ZIG) return process.env.ZIG.split(" ");
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const folder = join(cache, "modelwire", `zig-${zigVersion}`);
  const python = join(folder, "bin", "python");
  if (!existsSync(join(folder, "installed"))) {
    console.error(`installing ziglang ${zigVersion} into ${folder}`);
    rmSync(folder, { recursive: true, force: true });
    run("python3", ["-m", "venv", folder]);
    run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", `ziglang==${zigVersion}`]);
    mkdirSync(join(folder, "installed"));
  }
  return [python, "-m", "ziglang"];
}

function report(prebuilt) {
  let total = 0;
  for (const [platform, { library }] of Object.entries(platforms)) {
    const file = join(prebuilt, platform, library);
    if (!existsSync(file)) continue;
    const { size } = statSync(file);
    total += size;
    console.log(`${platform.padEnd(14)} ${library.padEnd(20)} ${(size / 1000).toFixed(0).padStart(5)} kB`);
  }
  console.log(`${"together".padEnd(35)} ${(total / 1000).toFixed(0).padStart(5)} kB`);
  if (total > maxBytes) {
    console.error(`more than ${maxBytes / 1000} kB: the package must stay small`);
    process.exitCode = 1;
  }
}

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", ...options });
  if (status === 0) return;
  throw new Error(`failed: ${command} ${args.join(" ")}${error ? ` (${error.message})` : ""}`);
}

function inScratch(work) {
  const scratch = mkdtempSync(join(tmpdir(), "modelwire-kernels-"));
  try {
    work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
