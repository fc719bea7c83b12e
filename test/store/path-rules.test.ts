// Which upload paths are refused: named cases for each rule, and properties over what attackers and file systems make.
import { posix, win32 } from "node:path";
import { ApiError } from "@modelwire/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PathSet, pathProblems, refusePath } from "../../server/store/artifacts/path-rules.ts";

describe("a path alone", () => {
  test.each([
    "genai_config.json",
    "a/b/c.onnx.data",
    ".hidden",
    "with space/größe.txt",
    "模型/权重.bin",
    "dog%step%100%timestamp%100",
    "a..b/...c",
    "console.txt",
    "com10",
    "x".repeat(255),
    Array(4).fill("x".repeat(255)).join("/"),
  ])("%j is taken", (path) => {
    expect(pathProblems(path)).toEqual([]);
  });

  test.each([
    ["", "is empty"],
    ["/etc/passwd", "is absolute"],
    ["//proc/self/root", "is absolute"],
    ["C:/x", "drive letter"],
    ["c:x", "drive letter"],
    ["a/b:stream", 'contains ":"'],
    ["a\\b", "backslash"],
    ["\\\\?\\UNC\\h\\s", "backslash"],
    ["a/../b", 'the part ".."'],
    ["..", 'the part ".."'],
    ["./a", 'the part "."'],
    ["a//b", "an empty part"],
    ["a/", "an empty part"],
    ["a\0b", "a control character"],
    ["a\nb", "a control character"],
    ["a\u0085b", "a control character"],
    ["\ud800", "no well-formed Unicode"],
    ["CON", "a device name"],
    ["a/nul.txt", "a device name"],
    ["LPT¹", "a device name"],
    ["a./b", "ending in a dot or space"],
    ["a /b", "ending in a dot or space"],
    ["x".repeat(256), "a part of 256 bytes"],
    ["ß".repeat(128), "a part of 256 bytes"],
    [Array(5).fill("x".repeat(250)).join("/"), "has 1254 bytes"],
  ])("%j is refused: %s", (path, reason) => {
    expect(pathProblems(path).join("; ")).toContain(reason);
  });

  test("every problem is told, not the first", () => {
    const problems = pathProblems("/C:\\..\\x/../con/a\0 ");
    for (const reason of ["absolute", "backslash", '".."', "device", "control", "dot or space"])
      expect(problems.join("; ")).toContain(reason);
  });

  const nasty = fc
    .array(fc.constantFrom("..", ".", "", "a", "B", "con", "c:", "\\", "\0", "%2e%2e", "a.", "é", "e\u0301", "／"), {
      maxLength: 6,
    })
    .map((parts) => parts.join("/"));
  const anyPath = fc.oneof(nasty, fc.string({ unit: "binary", maxLength: 40 }));

  test("whatever is taken stays within its folder, on Unix and on Windows", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        if (pathProblems(path).length > 0) return;
        expect(posix.resolve("/base", path)).toBe(`/base/${path}`);
        expect(win32.resolve("X:\\base", path)).toBe(`X:\\base\\${path.replaceAll("/", "\\")}`);
        expect(Buffer.byteLength(path)).toBeLessThanOrEqual(1024);
      }),
      { numRuns: 2000 },
    );
  });

  test("a refusal is INVALID_PATH with one violation for each problem, readable whatever the path holds", () => {
    try {
      refusePath("a\0/../b", pathProblems("a\0/../b"));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      const { reason, violations, message } = error as ApiError;
      expect(reason).toBe("INVALID_PATH");
      expect(violations).toHaveLength(2);
      expect(violations[0]?.field).toBe("file_start.path");
      expect(message).not.toContain("\0");
    }
  });
});

describe("paths beside each other", () => {
  test.each([
    [["a", "a"], "was sent already; send each file once"],
    [["a/b", "a/b"], "was sent already; send each file once"],
    [["a", "a/b"], 'needs "a" to be a folder'],
    [["a/b", "a"], "as a folder of other files"],
    [["Model.onnx", "model.ONNX"], "only in case or Unicode form"],
    [["é", "e\u0301"], "only in case or Unicode form"],
    [["STRASSE", "straße"], "only in case or Unicode form"],
    [["Dir/a", "dir/b"], 'differs from "Dir" only in case'],
  ])("%j: the last is refused", (paths, reason) => {
    const set = new PathSet();
    const problems = paths.map((path) => set.add(path));
    expect(problems.slice(0, -1).flat()).toEqual([]);
    expect(problems.at(-1)?.join()).toContain(reason);
  });

  test("a refused path takes no place", () => {
    const set = new PathSet();
    expect(set.add("a/../b")).not.toEqual([]);
    expect(set.add("x/y")).toEqual([]);
    expect(set.add("x/y/z")).not.toEqual([]);
    expect(set.add("X2/q")).toEqual([]);
    expect(set.add("x/z")).toEqual([]);
  });

  test("all that were taken can lie together on a case-blind disk, whatever came and in what order", () => {
    const part = fc.constantFrom("a", "A", "b", "é", "e\u0301", "É");
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), (paths) => {
        const set = new PathSet();
        const taken = paths.filter((path) => set.add(path).length === 0);
        const blind = (text: string) => text.normalize("NFC").toLowerCase();
        const files = new Set(taken.map(blind));
        expect(files.size).toBe(taken.length);
        for (const path of taken) {
          const parts = path.split("/");
          for (let n = 1; n < parts.length; n++) expect(files.has(blind(parts.slice(0, n).join("/")))).toBe(false);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
