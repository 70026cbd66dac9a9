import { createServer } from "node:net";
import { startTestQueen, until } from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";

describe("the look at a host before the first start", () => {
  it("stops a hive whose port is taken, names who has it, touches him not, and goes on once it is free", async () => {
    await using queen = await startTestQueen({ hives: ["one", "two"], start: false });
    const port = Number(queen.config.hives?.[0]?.listen?.split(":")[1]);
    const foreign = createServer().listen(port, "127.0.0.1");
    await new Promise((resolve) => foreign.once("listening", resolve));
    await queen.start();
    await queen.hivesRunning(["two"]);
    const look = () => queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "one" } });
    const refused = await until(
      async () => ((await look()).last_error === undefined ? null : await look()),
      20_000,
      "the refusal",
    );
    expect(refused.last_error).toContain(`port: ${port} is taken by process ${process.pid}`);
    expect((await queen.hive("one").status()).identity).toBeNull();

    const doctor = await queen.command(["doctor", "one", "--json"]);
    expect(doctor.exitCode).toBe(COMMAND_EXIT.failed);
    expect(doctor.json).toMatchObject({
      hives: [{ hive_id: "one", findings: expect.arrayContaining([expect.objectContaining({ check: "port", level: "fail" })]) }],
    });
    expect(foreign.listening).toBe(true);

    await new Promise((resolve) => foreign.close(resolve));
    await queen.hivesRunning(["one"]);
  }, 120_000);

  it("tells for people and for programs how hosts are, with and without a running queen", async () => {
    await using queen = await startTestQueen({ hives: ["one", "two"] });
    await queen.hivesRunning();
    const running = await queen.command(["doctor"]);
    expect(running.exitCode).toBe(COMMAND_EXIT.done);
    expect(running.stdout).toMatch(/one \(local\): .*\n(.*\n)*two \(local\)|two \(local\): .*\n(.*\n)*one \(local\)/);
    expect(running.stdout).toMatch(/ok {4}hive +running: process [0-9]+/);
    await queen.stop();
    const stopped = await queen.command(["doctor", "two"]);
    expect(stopped.exitCode).toBe(COMMAND_EXIT.done);
    expect(stopped.stdout).toContain("not running");
    const unknown = await queen.command(["doctor", "three", "--json"]);
    expect(unknown).toMatchObject({ exitCode: COMMAND_EXIT.failed, json: { error: { code: "hive_not_found" } } });
  }, 120_000);
});
