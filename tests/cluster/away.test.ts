import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { signalProcess } from "@queen-and-hive/daemon";
import {
  fakeModel,
  freePort,
  killProcesses,
  metricOf,
  processesOf,
  programCommand,
  startTestCluster,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { type HiveRecord, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, journalOf, statesOf } from "./ask.ts";
import { identityOf, livingOf } from "./identity.ts";

const RESTART = { first: "100ms", max: "500ms", jitter: 0 } as const;
const AWAY_MS = 4_000;
const IDLE_STOP_MS = 3_000;

test("what a worker and its hive say while the queen is dead is delivered when she is back, once", async () => {
  const workerFlags = ["--load-ms", "3000"];
  await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags, config: { restart: RESTART } });
  const loading = await until(async () => (await cluster.workers()).find(({ pid }) => pid !== null), 30_000);
  await cluster.queen.stop("SIGKILL");
  const { stateDir } = cluster.queen.hive("local").place;
  const outbox = join(stateDir, "outbox", "outbox.jsonl");
  await until(() => readFileSync(outbox, "utf8").includes(loading.worker_id), 30_000, "the ready callback to be kept");
  await cluster.queen.start();
  const [ready] = await cluster.workersReady(1);
  expect(ready).toMatchObject({ worker_id: loading.worker_id, incarnation: 1, pid: loading.pid });
  expect((await statesOf(cluster.queen.url, loading.worker_id)).filter((state) => state === "ready")).toHaveLength(1);
  expect(await metricOf(cluster.queen.url, "queen_ready_fallback_polls_total")).toBe(0);
}, 120_000);

test("a queen with the old state on a new address is found by her hive, whose worker goes on and whose news reach her", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, config: { restart: RESTART } });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  await cluster.queen.stop("SIGKILL");
  const { queen } = cluster;
  const config = { ...queen.config, listen: [`127.0.0.1:${await freePort()}`] };
  await using moved = await startTestQueen({ config });
  await moved.hivesRunning();
  signalProcess(identityOf(worker), "SIGKILL");
  const again = await until(async () => {
    const { workers } = await moved.peer.call(QUEEN_ENDPOINTS.listWorkers);
    return workers.find(({ state, incarnation }) => state === "ready" && incarnation === 2);
  }, 60_000);
  expect(again.worker_id).toBe(worker.worker_id);
  expect(await metricOf(moved.url, "queen_ready_fallback_polls_total")).toBe(0);
  expect((await ask(moved.url, { body: chat("fake") })).status).toBe(200);
  expect((await moved.command(["down"])).exitCode).toBe(0);
}, 120_000);

test("the queen's own absence counts against nobody: idle times and beats begin anew with her", async () => {
  const config = { health: { interval: "30s", beat: "500ms" }, defaults: { model: { idle_stop: "3s" } } };
  await using cluster = await startTestCluster({ config });
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  await cluster.queen.stop("SIGKILL");
  const back = performance.now() + AWAY_MS;
  await until(() => performance.now() >= back, AWAY_MS * 2, "an absence longer than idle_stop and many beats");
  const startedMs = performance.now();
  await cluster.queen.start();
  await cluster.queen.hivesRunning();
  await until(async () => (await cluster.workers()).length === 0, 60_000, "the idle stop");
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(IDLE_STOP_MS);
  expect(livingOf([identityOf(worker)])).toEqual([]);
  const states = (await journalOf(cluster.queen.url)).filter(({ kind }) => kind === "hive.state").map(({ to }) => to);
  expect(states).not.toContain("suspect");
}, 120_000);

test.each([3_600, -3_600])(
  "a hive whose clock is off by %i s starts, serves and recovers like any other",
  async (offS) => {
    await using queen = await startTestQueen({
      ownHiveProgram: true,
      start: false,
      config: { restart: RESTART, models: [fakeModel("fake", "fake", { workers: { min: 1 } })] },
    });
    const shift = join(queen.folder, "shift.mjs");
    writeFileSync(shift, shiftedClock(offS * 1_000));
    mkdirSync(join(queen.folder, "program", "current"), { recursive: true });
    const words = programCommand("hive").map((word) => `'${word}'`);
    const program = `#!/bin/sh\nNODE_OPTIONS='--import=${shift}' exec ${words.join(" ")} "$@"\n`;
    writeFileSync(join(queen.folder, "program", "current", "hive"), program, { mode: 0o755 });
    await queen.start();
    await queen.hivesRunning();
    const ready = async (incarnation: number): Promise<WorkerRecord> =>
      await until(async () => {
        const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
        return workers.find((worker) => worker.state === "ready" && worker.incarnation === incarnation);
      }, 60_000);
    const worker = await ready(1);
    expect(Math.abs(Date.parse(worker.spawned_at ?? "") - Date.now() - offS * 1_000)).toBeLessThan(600_000);
    signalProcess(identityOf(worker), "SIGKILL");
    expect((await ready(2)).worker_id).toBe(worker.worker_id);
    expect(await queen.hive("local").kill()).toBe(true);
    await until(async () => (await hiveOf(queen)).hive_epoch === 2, 60_000);
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);
  },
  120_000,
);

test("a host that comes back with another boot id has none of the processes that it had: they are started anew, once", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, config: { restart: RESTART } });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined || worker.boot_id === null) return expect.unreachable("one is ready");
  const { stateDir } = cluster.queen.hive("local").place;
  await cluster.queen.stop("SIGKILL");
  await killProcesses({ folder: stateDir });
  // What was written before the power went was written under an earlier boot.
  const earlier = worker.boot_id.replace(/^.{8}/, "00000000");
  for (const file of [join(stateDir, "identity.json"), join(stateDir, "workers", worker.worker_id, "ledger.json")]) {
    const before = readFileSync(file, "utf8");
    expect(before).toContain(worker.boot_id);
    writeFileSync(file, before.replaceAll(worker.boot_id, earlier));
  }
  await cluster.queen.start();
  const again = await until(async () => {
    const { workers } = await cluster.queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    return workers.find(({ state, incarnation }) => state === "ready" && incarnation === 2);
  }, 60_000);
  expect(again).toMatchObject({ worker_id: worker.worker_id, boot_id: worker.boot_id, exit: { cause: "host_rebooted" } });
  expect(enginesOf(stateDir)).toEqual([again.pid]);
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
}, 120_000);

test.each([true, false])(
  "a hive whose state is yesterday's has one process per worker (worker alive: %s)",
  async (isAlive) => {
    await using cluster = await startTestCluster({
      workers: { min: 1 },
      // Nobody asks about a ready callback that is overdue within the time of this test: none may be lost.
      config: { restart: RESTART, health: { interval: "10m" } },
    });
    const [worker] = await cluster.workersReady(1);
    if (worker === undefined) return expect.unreachable("one is ready");
    const { stateDir } = cluster.queen.hive("local").place;
    const backup = join(cluster.queen.folder, "yesterday");
    await cluster.queen.hive("local").kill();
    cpSync(stateDir, backup, { recursive: true, filter: (path) => !statSync(path).isFIFO() && !statSync(path).isSocket() });
    await cluster.queen.hivesRunning();
    signalProcess(identityOf(worker), "SIGKILL");
    await until(
      async () => (await cluster.workers()).find(({ state, incarnation }) => state === "ready" && incarnation === 2),
      60_000,
    );
    await cluster.queen.stop("SIGKILL");
    if (isAlive) await cluster.queen.hive("local").kill();
    else await killProcesses({ folder: stateDir });
    rmSync(stateDir, { recursive: true });
    renameSync(backup, stateDir);

    await cluster.queen.start();
    await cluster.queen.hivesRunning();
    const [now] = await until(async () => {
      const ready = (await cluster.workers()).filter(({ state, pid }) => state === "ready" && livingPid(pid, stateDir));
      return ready.length === 1 ? ready : null;
    }, 60_000);
    await until(() => enginesOf(stateDir).join() === String(now?.pid), 30_000, "one engine and no other");
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  },
  180_000,
);

test("a queen whose state is yesterday's is told that the hive has followed a later one, and touches nothing", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, config: { restart: RESTART } });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  const { queen } = cluster;
  const backup = join(queen.folder, "yesterday");
  await queen.stop("SIGKILL");
  cpSync(queen.stateDir, backup, { recursive: true, filter: (path) => !statSync(path).isSocket() });
  for (let run = 0; run < 2; run += 1) {
    await queen.start();
    await queen.hivesRunning();
    await queen.stop("SIGKILL");
  }
  rmSync(queen.stateDir, { recursive: true });
  renameSync(backup, queen.stateDir);
  await queen.start();
  const refused = await until(async () => {
    const hive = await hiveOf(queen);
    return hive.state === "failed" ? hive : null;
  }, 60_000);
  expect(refused.last_error).toMatch(/has reached epoch 3/);
  expect(livingOf([identityOf(worker)])).toEqual([worker.pid]);
  // Each start of hers counts one up: the next one is no older than what the hive has followed.
  await queen.stop("SIGKILL");
  await queen.start();
  await queen.hivesRunning();
  expect(await cluster.workersReady(1)).toMatchObject([{ worker_id: worker.worker_id, pid: worker.pid, incarnation: 1 }]);
  expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);
}, 120_000);

async function hiveOf(queen: TestQueen): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "local" } });
}

/** The engines, without their shims, that have to do with a hive. */
function enginesOf(stateDir: string): readonly number[] {
  return processesOf({ folder: stateDir })
    .filter(({ command }) => /^\S*node\S* .*fake-worker/.test(command))
    .map(({ identity }) => identity.pid);
}

function livingPid(pid: number | null, stateDir: string): boolean {
  return pid !== null && enginesOf(stateDir).includes(pid);
}

/** A module that sets the clock of a Node process. */
function shiftedClock(offMs: number): string {
  return `const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) {
    super(...(given.length === 0 ? [Real.now() + ${offMs}] : given));
  }
  static now() {
    return Real.now() + ${offMs};
  }
};
`;
}
