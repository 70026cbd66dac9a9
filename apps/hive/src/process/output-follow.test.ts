import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { systemClock } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { followLog } from "./output-follow.ts";

test("a FIFO that a worker put in the place of its output is not waited for", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("output.log");
  execFileSync("mkfifo", [path]);
  const late = directory.join("late");
  // Whoever waits for a writer gets one, late.
  const writer = spawn("sh", ["-c", 'sleep 10; touch "$2"; echo >"$1"', "sh", path, late], { detached: true, stdio: "ignore" });
  try {
    const chunks: unknown[] = [];
    for await (const chunk of followLog(path, 10, systemClock, AbortSignal.timeout(60_000))) chunks.push(chunk);
    expect(chunks.join("")).toBe("");
    expect(existsSync(late)).toBe(false);
  } finally {
    if (writer.pid !== undefined) process.kill(-writer.pid, "SIGKILL");
  }
});
