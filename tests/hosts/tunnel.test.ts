import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import {
  fakeModel,
  firstOf,
  hiveOn,
  readyCounts,
  readyWorkers,
  type SshTestHost,
  startSshGround,
  startTestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";
import { daemonsOf } from "./on-ground.ts";

describe.each([undefined, "in_process"] as const)("a hive through a tunnel (%s)", (kind) => {
  const one = { hosts: [{}], ...(kind === undefined ? {} : { kind }) };

  it("is started, serves, is called back through a socket of ours alone, and is stopped with its worker", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using queen = await startTestQueen({
      config: { hives: [await hiveOn(ground, there, "gpu1")], models: [fakeModel("far")] },
    });
    await queen.hivesRunning();
    const answer = await ask(queen.url, { body: chat("far") });
    expect(answer.status).toBe(200);
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    const [worker] = workers;
    expect(worker).toMatchObject({ hive_id: "gpu1", state: "ready" });
    const hive = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "gpu1" } });
    expect(hive.url).toMatch(/^http:\/\/127\.0\.0\.1:/);
    expect(queen.program.output()).toMatch(/"a way back from a hive is open".*"url":"unix:/);

    const way = /"a way back from a hive is open".*"url":"unix:([^"]+)"/.exec(queen.program.output())?.[1] ?? "";
    expect(existsSync(way)).toBe(true);
    expect((await queen.stop()).code).toBe(0);
    expect(existsSync(way)).toBe(false);
    expect(there.processes()).toEqual([]);
    expect(isAlive(worker)).toBe(false);
    await until(() => there.connections() === 0);
  }, 120_000);

  it("goes on after the SSH connection was dropped: a worker that starts afterwards is heard of", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using queen = await startTestQueen({
      config: { hives: [await hiveOn(ground, there, "gpu1")], models: [fakeModel("early"), fakeModel("late")] },
    });
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("early") })).status).toBe(200);
    const [worker] = await readyWorkers(queen.peer, 1);
    const { callbacks } = await readyCounts(queen.url);
    there.dropConnections();
    expect((await ask(queen.url, { body: chat("late") })).status).toBe(200);
    // The hive's events tell it too, and a poll would: here it was the callback.
    expect(await readyCounts(queen.url)).toEqual({ callbacks: callbacks + 1, polls: 0 });
    expect((await ask(queen.url, { body: chat("early") })).status).toBe(200);
    const workers = await readyWorkers(queen.peer, 2);
    expect(workers).toContainEqual(expect.objectContaining({ worker_id: worker?.worker_id, incarnation: 1 }));
    const ways = [...queen.program.output().matchAll(/"a way back from a hive is open".*"url":"unix:([^"]+)"/g)].map(
      ([, path]) => path ?? "",
    );
    expect(ways.length).toBeGreaterThanOrEqual(2);
    // What earlier connections have left there is gone.
    const newest = ways.at(-1) ?? "";
    expect(readdirSync(dirname(newest)).filter((name) => name.endsWith(".sock"))).toEqual([basename(newest)]);
  }, 120_000);
});

it.each([undefined, "in_process"] as const)(
  "a tunnel uses a loopback port where the SSH server forbids sockets, and says what to allow where it forbids both (%s)",
  async (kind) => {
    const hosts = [{ forwarding: "tcp" }, { forwarding: "none" }] as const;
    await using ground = await startSshGround({ hosts, ...(kind === undefined ? {} : { kind }) });
    const [port, none] = ground.hosts;
    if (port === undefined || none === undefined) throw new Error("a ground of two hosts has them");
    await using queen = await startTestQueen({
      config: { hives: [await hiveOn(ground, port, "port"), await hiveOn(ground, none, "none")], models: [fakeModel("far")] },
    });
    await queen.hivesRunning(["port"]);
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    expect(await readyCounts(queen.url)).toEqual({ callbacks: 1, polls: 0 });
    expect(queen.program.output()).toMatch(/"a way back from a hive is open".*"url":"http:\/\/127\.0\.0\.1:/);
    const refused = await until(async () => {
      const hive = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "none" } });
      // The host itself is within reach: a start fails, and is tried again after ever longer pauses.
      return hive.state === "crashed" || hive.state === "failed" ? (hive.last_error ?? null) : null;
    });
    expect(refused).toContain("AllowStreamLocalForwarding");
    expect(daemonsOf(none)).toEqual([]);
  },
  120_000,
);

it("a tunnel finds the hive and its worker that a killed queen has left, without any command, and hears of it on a new socket", async () => {
  await using ground = await startSshGround({ hosts: [{}] });
  const there = firstOf(ground);
  await using queen = await startTestQueen({
    config: { hives: [await hiveOn(ground, there, "gpu1")], models: [fakeModel("far", "fake", { workers: { min: 1 } })] },
  });
  const [before] = await readyWorkers(queen.peer, 1);
  await queen.stop("SIGKILL");
  const commandsRun = noteCommands(there);
  await queen.start();
  await queen.hivesRunning();
  const [after] = await readyWorkers(queen.peer, 1);
  expect(after).toMatchObject({ worker_id: before?.worker_id, pid: before?.pid, incarnation: 1 });
  expect(commandsRun()).toEqual([]);
  expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);

  // Without a queen the command itself stops what her registry has.
  await queen.stop("SIGKILL");
  const down = await queen.command(["down"]);
  expect(down.exitCode, `${down.stdout}${down.stderr}`).toBe(0);
  expect(there.processes()).toEqual([]);
  expect(isAlive(after)).toBe(false);
  expect(commandsRun()).toContain("stop");
}, 120_000);

/** From now on the hive's program of a host notes how it is called; the answer gives the commands. */
function noteCommands(there: SshTestHost): () => readonly string[] {
  const program = join(there.home, ".local/share/hive/current/hive");
  const notes = join(there.home, "commands");
  writeFileSync(notes, "");
  writeFileSync(program, readFileSync(program, "utf8").replace("\n", `\necho "$1" >>'${notes}'\n`));
  return () => readFileSync(notes, "utf8").split("\n").slice(0, -1);
}

function isAlive(worker: WorkerRecord | undefined): boolean {
  if (worker?.pid == null || worker.start_time === null || worker.boot_id === null)
    throw new Error("a ready worker has a process");
  return isProcessAlive({ pid: worker.pid, start_time: worker.start_time, boot_id: worker.boot_id });
}
