import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { killProcesses } from "./leave-nothing.ts";
import { runCommand } from "./run-command.ts";
import { testEnvironment } from "./surroundings.ts";

describe("runCommand", () => {
  it("gives a command its input and reads the last line of its output as JSON", async () => {
    await using folder = await temporaryDirectory();
    const script = 'read -r line; echo "some words"; echo "{\\"heard\\":\\"$line\\"}"; echo trouble >&2; exit 3';
    const options = { env: testEnvironment(folder.path), cwd: folder.path, input: "hello\n" };
    const result = await runCommand(["sh", "-c", script], options);
    expect(result).toMatchObject({ exitCode: 3, signal: null, json: { heard: "hello" }, stderr: "trouble\n" });
  });

  it("does not wait for a daemon that the command has left behind", async () => {
    await using folder = await temporaryDirectory();
    const options = { env: testEnvironment(folder.path), cwd: folder.path };
    const result = await runCommand(["sh", "-c", "sleep 60 & echo started"], options);
    expect(result).toMatchObject({ exitCode: 0, stdout: "started\n", json: null });
    await killProcesses({ folder: folder.path });
  });

  it("kills a command that takes too long", async () => {
    await using folder = await temporaryDirectory();
    const options = { env: testEnvironment(folder.path), cwd: folder.path, withinMs: 50 };
    expect(await runCommand(["sleep", "60"], options)).toMatchObject({ exitCode: null, signal: "SIGKILL" });
  });
});
