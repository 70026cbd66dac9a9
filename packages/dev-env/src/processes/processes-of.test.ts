import { isProcessAlive } from "@queen-and-hive/daemon";
import { WORKER_ENV } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { expectNoProcesses } from "./leave-nothing.ts";
import { processesOf } from "./processes-of.ts";
import { startProgram } from "./program.ts";
import { testEnvironment } from "./surroundings.ts";

describe("processesOf", () => {
  it("finds a process by its marker, its folder and its open files, and nobody else's", async () => {
    await using folder = await temporaryDirectory();
    await using other = await temporaryDirectory();
    const env = testEnvironment("/", { [WORKER_ENV.stateId]: "5eed" });
    await using program = await startProgram(["sleep", "60"], { env, cwd: folder.path, logFile: folder.join("log") });
    const found = processesOf({ folder: folder.path, stateId: "5eed" });
    expect(found.map(({ identity }) => identity)).toEqual([program.identity]);
    expect(found[0]?.traces).toEqual(["marker", "cwd", "descriptor"]);
    expect([processesOf({ folder: other.path }), processesOf({ stateId: "5ee" })]).toEqual([[], []]);
  });

  it("does not call a longer path the folder", async () => {
    await using folder = await temporaryDirectory();
    await using program = await startProgram(["sleep", "60"], { env: {}, cwd: "/", logFile: folder.join("log") });
    expect(processesOf({ folder: folder.join("lo") })).toEqual([]);
    expect(processesOf({ folder: folder.path }).length).toBe(1);
    expect(isProcessAlive(program.identity)).toBe(true);
  });
});

describe("expectNoProcesses", () => {
  it("names what is left, and kills it", async () => {
    await using folder = await temporaryDirectory();
    await using program = await startProgram(["sleep", "60"], { env: {}, cwd: folder.path, logFile: folder.join("log") });
    await expect(expectNoProcesses({ folder: folder.path }, 50)).rejects.toThrow(
      `pid ${program.identity.pid} (cwd, descriptor): sleep 60`,
    );
    expect((await program.ended()).signal).toBe("SIGKILL");
    await expectNoProcesses({ folder: folder.path }, 50);
  });
});
