// What the command line says about itself, and about command lines it does not understand.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cli, inside, MAIN } from "./cli.ts";

test("the overview names every command; without any word it is a usage error", async () => {
  const help = await cli(["--help"]);
  expect(help.code).toBe(0);
  for (const name of ["serve", "log", "chat", "predict", "signature", "codegen", "tokens", "models", "demo"])
    expect(help.stdout).toMatch(new RegExp(`^  ${name} `, "m"));
  const bare = await cli([]);
  expect([bare.code, bare.stdout]).toEqual([2, help.stdout]);
});

test.each([
  ["serve", ["--port", "MODELWIRE_PORT", "SIGTERM"]],
  [
    "log",
    [
      ...["--name", "--experiment", "--tag", "--param", "--address", "--tls-ca"],
      ...["--task", "--input-example", "--signature"],
    ],
  ],
  ["predict", ["--prompt", "--json", "--input", "--param", "--stream", "--strict", "--stats", "--address", "Example:"]],
  ["signature", ["show", "infer", "--input", "--output", "--param", "--json", "--address", "Example:"]],
  ["codegen", ["--out", "--proto", "--name", "--check", "--address", "Example:"]],
  ["tokens", ["--text", "--message", "--list", "--address", "Example:"]],
  [
    "chat",
    [
      "--once",
      "--system",
      "--temperature",
      "--max-tokens",
      "--top-p",
      "--top-k",
      "--seed",
      "--stop",
      ...["--min-p", "--repetition-penalty", "--logit-bias", "--logprobs", "--json-schema", "--grammar", "--tools"],
      ...["--salt", "--priority", "--json"],
      "--stats",
      "--tls-key",
    ],
  ],
  [
    "models",
    ["list", "show", "inspect", "files", "download", "delete", "load", "unload", "loaded", "--json", "--tls-cert"],
  ],
  ["demo", ["--model"]],
])("%s --help says how it is used and which flags there are", async (name, words) => {
  const { code, stdout, stderr } = await inside([name, "--help"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(new RegExp(`^Usage: modelwire ${name}`));
  for (const word of words) expect(stdout).toContain(word);
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(140);
});

test("--version is the package's", async () => {
  const manifest = JSON.parse(readFileSync(new URL("../../server/package.json", import.meta.url), "utf8"));
  expect(await cli(["--version"])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
});

test.each([
  [["modles"], "did you mean: modelwire models?"],
  [["--adress", "x"], 'unknown flag "--adress"'],
  [["log", "x", "--nam", "y"], "did you mean --name?"],
  [["log", "--name", "y"], "<folder> is missing"],
  [["log", "x"], "--name is missing"],
  [["log", "x", "--name", "y", "--tag", "novalue"], "name=value"],
  [["log", "x", "more", "--name", "y"], 'unexpected argument "more"'],
  [["chat"], "<model> is missing"],
  [["chat", "m", "--temperature", "warm"], '--temperature takes a number, not "warm"'],
  [["chat", "m", "--seed", "-1"], "--seed"],
  [["chat", "m", "--seed=1.5"], "whole number"],
  [["chat", "m", "--once", " "], "the question is empty"],
  [["chat", "m", "--regex", "a", "--json-object"], "--json-object and --regex exclude each other"],
  [["chat", "m", "--grammar", "/no/such/file"], "--grammar cannot be read"],
  [["chat", "m", "--tools", "[{}]"], "--tools takes a list of functions"],
  [["chat", "m", "--tools", "[{"], "--tools is no JSON"],
  [["chat", "m", "--logit-bias", "the=5"], '--logit-bias takes the id of a token, not "the"'],
  [["chat", "m", "--stop-token", "x"], "--stop-token takes the id of a token"],
  [["predict", "m"], "give --prompt, --json or --input"],
  [["predict", "m", "--prompt", "x", "--json", "{}"], "--prompt and --json exclude each other"],
  [["predict", "m", "--input", "/no/such/file"], "--input cannot be read"],
  [["predict", "m", "--prompt", "x", "--param", "novalue"], "name=value"],
  [["signature"], "a word behind signature is missing"],
  [["signature", "shwo"], "did you mean: modelwire signature show?"],
  [["signature", "infer"], "give --input, --output or --param"],
  [["signature", "infer", "--input", "-", "--output", "-"], "cannot both be stdin"],
  [["codegen", "m"], "--out is missing"],
  [["codegen", "m", "--out", "x", "--name", "my-model"], "did you mean --name MyModel?"],
  [["tokens"], "<model> is missing"],
  [["log", "x", "--name", "y", "--input-example", "/no/such/file"], "--input-example cannot be read"],
  [["log", "x", "--name", "y", "--signature", MAIN], "is no signature"],
  [["models"], "a word behind models is missing"],
  [["models", "lits"], "did you mean: modelwire models list?"],
  [["models", "show"], "<model> is missing"],
  [["models", "list", "--tls-ca", "/no/such/file"], "--tls-ca cannot be read"],
  [["models", "list", "--insecure", "--tls"], "exclude each other"],
  [["models", "list", "--tls-cert", MAIN], "--tls-cert and --tls-key belong together"],
  [["models", "list", "--address", "example.org:1"], "pass --tls or --tls-ca <pem>, or --insecure"],
  [["models", "list", "--address", "http://localhost:1"], "--address"],
  [["serve", "--prot", "1"], "did you mean --port?"],
  [["serve", "--port", "x", "--grace-ms", "y"], "--grace-ms"],
  [["demo", "--modle", "x"], "did you mean --model?"],
])("%j is a usage error that says what is wrong", async (args, hint) => {
  const { code, stdout, stderr } = await inside(args);
  expect(stderr).toContain(hint);
  expect(stderr).toMatch(/see: modelwire .*--help/);
  expect([code, stdout]).toEqual([2, ""]);
});

test("a process says the same and ends with the same code", async () => {
  for (const args of [
    ["log", "x", "--nam", "y"],
    ["chat", "--help"],
  ])
    expect(await cli(args)).toEqual(await inside(args));
});
