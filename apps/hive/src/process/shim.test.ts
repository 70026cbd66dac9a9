import { silentLog, systemClock } from "@queen-and-hive/daemon";
import { type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { UNKNOWN_STATUS } from "../domain/exit-status.ts";
import { readExitStatus } from "./exit-file.ts";
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

function hold({ path, join }: TemporaryDirectory, argv: readonly string[]) {
  return holdProcess(
    { argv, environment: {}, cwd: path, logPath: join("output.log"), alivePath: join("alive"), exitPath: join("exit") },
    systemClock,
  );
}
