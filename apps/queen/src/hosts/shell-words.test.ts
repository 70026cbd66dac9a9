import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Argv } from "./host.ts";
import { shellLine } from "./shell-words.ts";

describe("a command as one shell line", () => {
  it("leaves plain words alone and quotes the rest in one way", () => {
    expect(shellLine(["hive", "start", "--json", "--state-dir", "/a b/c"])).toBe("hive start --json --state-dir '/a b/c'");
    expect(shellLine(["echo", "", "it's", "$(id)", "a\\b", "-x"])).toBe("echo '' 'it'\\''s' '$(id)' 'a'\\\\'b' -x");
  });

  it("refuses a NUL byte, which no argv can carry", () => {
    expect(() => shellLine(["echo", "a\0b"])).toThrow(/NUL byte/);
  });

  it.each(["sh", "bash"])("reaches the program as it was, through %s", (shell) => {
    const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((word) => !word.includes("\0"));
    const nasty = fc.constantFrom(
      "'",
      '"',
      "$(id)",
      "`id`",
      "\n",
      "\\",
      "\\'",
      "*",
      "~",
      "!x",
      " ",
      "-rf",
      ";",
      "&",
      "%s",
      "{a,b}",
    );
    const words = fc.array(
      fc.oneof(
        text,
        fc.array(nasty).map((parts) => parts.join("")),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(words, (list) => {
        const argv: Argv = ["printf", "%s\\0", ...list];
        const out = execFileSync(shell, ["-c", shellLine(argv)], { encoding: "utf8" });
        expect(out.split("\0").slice(0, -1)).toEqual(list);
      }),
      { numRuns: 40 },
    );
  });
});
