import { readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { isProcessAlive, type ProcessIdentity, readProcStat, signalProcess } from "@queen-and-hive/daemon";
import {
  expectNoProcesses,
  startProgram,
  startRecordingServer,
  startTestHive,
  type TestHive,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, type ErrorBody, HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, test } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";

describe("hive start", () => {
  test("20 at the same time give one daemon and 20 times its identity", async () => {
    await using hive = await startTestHive({ start: false });
    const answers = await Promise.all(Array.from({ length: 20 }, () => hive.start()));
    const identities = new Set(
      answers.map(({ pid, start_time, boot_id, hive_epoch, url }) => JSON.stringify([pid, start_time, boot_id, hive_epoch, url])),
    );
    expect(identities.size).toBe(1);
    expect(answers.filter(({ already_running }) => !already_running)).toHaveLength(1);
    expect(daemonsOf(hive)).toHaveLength(1);
  }, 60_000);

  test("prints the identity under which the daemon then answers", async () => {
    await using hive = await startTestHive();
    const health = await hive.peer.call(HIVE_ENDPOINTS.getHealth);
    const { pid, start_time, boot_id, hive_epoch, hive_id } = hive.identity;
    expect(health).toMatchObject({ status: "ok", pid, start_time, boot_id, hive_epoch, hive_id });
    expect(hive.identity.already_running).toBe(false);
  });

  test("after kill -9 starts a new daemon with the next epoch, however fresh the dead one's identity is", async () => {
    await using hive = await startTestHive();
    const first = hive.identity;
    await hive.commands.kill();
    expect((await hive.commands.status()).state).toBe("stopped");
    const second = await hive.start();
    expect(second).toMatchObject({ already_running: false, hive_epoch: first.hive_epoch + 1 });
    expect(second.pid).not.toBe(first.pid);
  });

  test("killed before its daemon says who it is leaves a daemon that hive stop finds and ends", async () => {
    await using hive = await startTestHive({ start: false });
    await hive.start();
    await hive.commands.stop();
    const { command, cwd, env, stateDir } = hive.commands.place;
    const words = [...command, "start", "--state-dir", stateDir];
    const starting = await startProgram(words, { cwd, env, logFile: `${hive.folder}/start.log` });
    const half = await until(() => halfStarted(hive), 20_000, "the daemon's process");
    signalProcess(half, "SIGSTOP");
    starting.send("SIGKILL");
    await starting.ended();
    const stopping = hive.commands.stop();
    await until(
      () => hive.processes().some(({ command: text }) => text.includes("start.lock")),
      20_000,
      "the stop to be at work",
    );
    signalProcess(half, "SIGCONT");
    expect(await stopping).toMatchObject({ was_running: true, left: [], stopped: [{ what: "hive", pid: half.pid }] });
    await expectNoProcesses({ folder: hive.folder });
  });

  test("needs neither configuration nor secrets once they were given", async () => {
    await using hive = await startTestHive();
    await hive.commands.stop();
    const again = await hive.commands.start();
    expect(again.url).toBe(hive.url);
    expect((await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers).toEqual([]);
  });

  test("keeps the token readable for its user alone, and out of every command line and environment", async () => {
    await using hive = await startTestHive();
    expect(mode(`${hive.stateDir}/secrets`)).toBe(0o700);
    expect(mode(`${hive.stateDir}/secrets/token`)).toBe(0o600);
    expect(readFileSync(`${hive.stateDir}/secrets/token`, "utf8").trim()).toBe(hive.token);
    expect(readFileSync(`${hive.stateDir}/hive.json`, "utf8")).not.toContain(hive.token);
    for (const { identity } of hive.processes()) {
      expect(readFileSync(`/proc/${identity.pid}/cmdline`, "utf8")).not.toContain(hive.token);
      expect(readFileSync(`/proc/${identity.pid}/environ`, "utf8")).not.toContain(hive.token);
    }
  });

  test("while the daemon ends waits for that and starts the next one", async () => {
    await using queen = await startRecordingServer();
    const owner = queenAt(queen.url);
    await using hive = await startTestHive({ queen: owner, config: { stop: { term: "2s" } } });
    const first = hive.identity;
    await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: fakeWorkerOrder(owner, ["--fault", "ignore-term"]) });
    await queen.received(1, ({ url }) => url === "/v2/workers/ready");
    const ended = hive.peer.call(HIVE_ENDPOINTS.postShutdown, { body: { workers: "stop", deadline_ms: 9_000 } });
    await until(async () => (await hive.peer.call(HIVE_ENDPOINTS.getHealth)).status === "stopping", 5_000, "the hive to end");
    const second = await hive.start();
    expect((await ended).workers).toMatchObject([{ how: "killed" }]);
    expect(second).toMatchObject({ already_running: false, hive_epoch: first.hive_epoch + 1 });
    expect(isProcessAlive(first)).toBe(false);
  });

  test("says by whom its port is taken, starts nothing and leaves nothing", async () => {
    await using hive = await startTestHive({ start: false });
    const port = Number(new URL(hive.url).port);
    const stranger = createServer().listen(port, "127.0.0.1");
    try {
      const result = await startRaw(hive);
      expect(result.exitCode).toBe(COMMAND_EXIT.failed);
      expect(errorOf(result.json)).toMatchObject({
        code: "port_in_use",
        message: expect.stringContaining(`process ${process.pid}`),
      });
      await expectNoProcesses({ folder: hive.folder });
    } finally {
      stranger.close();
    }
  });

  test("refuses a hive of another queen by naming her, and hands it over when told to", async () => {
    const [owner, other] = [queenAt("http://127.0.0.1:1"), queenAt("http://127.0.0.1:2")];
    await using hive = await startTestHive({ queen: owner });
    const refused = await startRaw(hive, { queen: other });
    expect(refused.exitCode).toBe(COMMAND_EXIT.lockTaken);
    expect(errorOf(refused.json)).toMatchObject({
      code: "owned_by_another_queen",
      message: expect.stringContaining(owner.queen_id),
    });
    await hive.commands.stop();
    expect(errorOf((await startRaw(hive, { queen: other })).json)?.code).toBe("owned_by_another_queen");
    const taken = await hive.start({ queen: { ...other, take_over: true } });
    expect(taken.owner).toBe(other.queen_id);
  });

  test("refuses an older epoch of its own queen", async () => {
    const queen = queenAt("http://127.0.0.1:1", { queen_epoch: 5 });
    await using hive = await startTestHive({ queen });
    expect(errorOf((await startRaw(hive, { queen: { ...queen, queen_epoch: 4 } })).json)?.code).toBe("stale_epoch");
    expect((await hive.start({ queen: { ...queen, queen_epoch: 6 } })).already_running).toBe(true);
  });

  test("refuses a state directory in which a hive of another name runs, and does not touch its configuration", async () => {
    await using hive = await startTestHive({ hiveId: "first" });
    const before = readFileSync(`${hive.stateDir}/hive.json`, "utf8");
    const result = await startRaw(hive, { config: { ...hive.config, hive_id: "second" } });
    expect(errorOf(result.json)).toMatchObject({ code: "already_running", message: expect.stringContaining("first") });
    expect(readFileSync(`${hive.stateDir}/hive.json`, "utf8")).toBe(before);
    expect(isProcessAlive(hive.identity)).toBe(true);
  });

  test("keeps a newer configuration for the next start and says so", async () => {
    await using hive = await startTestHive();
    const result = await startRaw(hive, { config: { ...hive.config, env: { GPU: "rtx4090" } } });
    expect(result.exitCode).toBe(0);
    expect(result.stderr).toContain("after its next start");
    expect(readFileSync(`${hive.stateDir}/hive.json`, "utf8")).toContain("rtx4090");
  });

  test.each([
    ["no JSON", "{not json", "malformed_json"],
    ["an unknown shape", '{"secrets": {"token": "short"}}', "invalid_body"],
    ["a port that cannot be", '{"config": {"listen": "127.0.0.1:99999"}}', "invalid_config"],
  ])("answers %s on standard input with one error and starts nothing", async (_, input, code) => {
    await using hive = await startTestHive({ start: false });
    const result = await hive.commands.run(["start", "--json"], input);
    expect(errorOf(result.json)?.code).toBe(code);
    expect(result.exitCode).toBe(code === "invalid_config" ? COMMAND_EXIT.badConfiguration : COMMAND_EXIT.failed);
    await expectNoProcesses({ folder: hive.folder });
  });

  test("names file, line and key of a configuration file that it cannot use", async () => {
    await using hive = await startTestHive({ start: false });
    const file = `${hive.folder}/hive.yaml`;
    writeFileSync(file, "hive_id: test\nlimits:\n  body: many\n");
    const result = await hive.commands.run(["start", "--config", file]);
    expect(result.exitCode).toBe(COMMAND_EXIT.badConfiguration);
    expect(result.stderr).toContain(`${file}:3`);
    expect(result.stderr).toContain("limits.body");
  });

  test("reads a configuration file, with its paths starting where it lies", async () => {
    await using hive = await startTestHive({ start: false });
    const file = `${hive.folder}/hive.yaml`;
    writeFileSync(file, `hive_id: from-file\nlisten: ${hive.config.listen}\nmodels_dir: models\n`);
    const result = await hive.commands.run(["start", "--config", file]);
    expect(result.stdout).toContain("hive from-file started");
    expect(readFileSync(`${hive.stateDir}/hive.json`, "utf8")).toContain(`"models_dir": "${hive.folder}/models"`);
    await hive.commands.stop();
  });

  test("starts with damaged state, says what was lost, keeps the damaged files, and never counts backwards", async () => {
    const queen = queenAt("http://127.0.0.1:1");
    await using hive = await startTestHive({ queen });
    await hive.commands.stop();
    for (const name of ["epoch.json", "sequence.json", "queen.json", "state-id", "identity.json", "outbox/outbox.jsonl"]) {
      writeFileSync(`${hive.stateDir}/${name}`, "\u0000garbage\n");
    }
    const again = await hive.commands.start();
    expect(again.hive_epoch).toBeGreaterThan(hive.identity.hive_epoch + 1);
    const log = readFileSync(`${hive.stateDir}/logs/hive.log`, "utf8");
    for (const name of ["epoch.json", "sequence.json", "queen.json", "state-id", "outbox.jsonl"])
      expect(log).toContain(`${name}.damaged-`);
  });

  test("run in the foreground takes the same lock: a second one is told who runs", async () => {
    await using hive = await startTestHive();
    const result = await hive.commands.run(["run"]);
    expect(result.exitCode).toBe(COMMAND_EXIT.lockTaken);
    expect(result.stderr).toContain(`process ${hive.identity.pid}`);
  });

  test("the daemon leads its own session and holds nothing of the command's standard streams", async () => {
    await using hive = await startTestHive();
    const { pid } = hive.identity;
    expect(readProcStat(pid)?.session).toBe(pid);
    for (const descriptor of [0, 1, 2])
      expect(readlinkSync(`/proc/${pid}/fd/${descriptor}`)).toMatch(/\/dev\/null|logs\/output\.log$/);
  });
});

async function startRaw(hive: TestHive, more: object = {}): ReturnType<TestHive["commands"]["run"]> {
  const request = { config: hive.config, secrets: { token: hive.token }, ...more };
  return hive.commands.run(["start", "--json"], JSON.stringify(request));
}

function errorOf(json: unknown): ErrorBody["error"] | undefined {
  return (json as Partial<ErrorBody> | null)?.error;
}

function mode(path: string): number {
  return statSync(path).mode & 0o777;
}

/** A daemon that holds its lock already; a look at the process alone would also find the flock that is to become it. */
function halfStarted(hive: TestHive): ProcessIdentity | undefined {
  const isDaemon = (command: string): boolean => command.includes("--handshake-fd") && !command.startsWith("flock");
  return hive.processes().find(({ command }) => isDaemon(command))?.identity;
}

function daemonsOf(hive: TestHive): readonly number[] {
  return hive.processes().flatMap(({ identity, command }) => (command.includes("--handshake-fd") ? [identity.pid] : []));
}
