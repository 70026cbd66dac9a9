import { writeFileSync } from "node:fs";
import { silentLog, systemClock } from "@queen-and-hive/daemon";
import { type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { UNKNOWN_STATUS } from "../domain/exit-status.ts";
import { readExitStatus } from "./exit-file.ts";
import { readOomKills } from "./oom-watch.ts";
import { holdProcess } from "./shim.ts";

test("a process that was held and never let go leaves no exit status", async () => {
  await using directory = await temporaryDirectory();
  const held = await hold(directory, ["sh", "-c", "exit 3"]);
  held.abort();
  await held.ended;
  expect(readExitStatus(directory.join("exit"), silentLog)).toEqual(UNKNOWN_STATUS);
});

test("a process that was let go leaves its own", async () => {
  await using directory = await temporaryDirectory();
  for (const code of [3, 0]) {
    const held = await hold(directory, ["sh", "-c", `exit ${code}`]);
    held.release();
    await held.ended;
    expect(readExitStatus(directory.join("exit"), silentLog)).toEqual({ exitCode: code, signal: null });
  }
});

test("the kernel's count of kills for lack of memory is kept as it was when the engine was killed, and only then", async () => {
  await using directory = await temporaryDirectory();
  const kept = (): number | null => readOomKills(directory.join("oom-kills"));
  const run = async (script: string): Promise<void> => {
    const held = await hold(directory, ["sh", "-c", script]);
    held.release();
    await held.ended;
  };
  // A kernel that does not say, and ends of other kinds.
  await run("kill -KILL $$");
  writeFileSync(directory.join("vmstat"), "nr_free_pages 7\noom_kill 41\noom_killer 3\n");
  await run("kill -TERM $$");
  await run("exit 3");
  expect(kept()).toBeNull();
  await run("kill -KILL $$");
  writeFileSync(directory.join("vmstat"), "oom_kill 99\n");
  expect(kept()).toBe(41);
  expect(readExitStatus(directory.join("exit"), silentLog)).toEqual({ exitCode: null, signal: "SIGKILL" });
});

function hold({ path, join }: TemporaryDirectory, argv: readonly string[]) {
  return holdProcess(
    {
      argv,
      environment: {},
      cwd: path,
      logPath: join("output.log"),
      alivePath: join("alive"),
      exitPath: join("exit"),
      vmstatPath: join("vmstat"),
      oomKillsPath: join("oom-kills"),
    },
    systemClock,
  );
}
