import { expect, it } from "vitest";
import { commandLabel } from "./command-label.ts";

it("a command is called by its words, a script of ours by its name, and never at length", () => {
  expect(commandLabel(["hive", "status", "--json"])).toBe("hive status --json");
  expect(commandLabel(["sh", "-c", "set -u\nmany lines", "queen-upload", "/target"])).toBe("queen-upload");
  expect(commandLabel(["sh", "-c", "set -u\nmany lines"])).toBe("a shell script");
  expect(commandLabel(["echo", "one\ntwo"])).toBe("echo one two");
  expect(commandLabel(["echo", "x".repeat(500)])).toHaveLength(120);
});
