import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline, isProcessAlive, type ProcessIdentity, readProcessIdentity, readProcStat } from "@queen-and-hive/daemon";
import { skipsWithout } from "@queen-and-hive/dev-env";
import { newWorkerId, type SpawnRequest, type WorkerId } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { VMSTAT } from "../src/process/oom-watch.ts";
import { type LedgerEntry, validateLedgerEntry } from "../src/store/ledger-entry.ts";
import { FREEZER, freeze } from "./freeze.ts";
import {
  Cleanup,
  fastRestart,
  identityIn,
  identityOf,
  type KillableHive,
  markedPids,
  openTestHive,
  readIfThere,
  shellSpec,
  spawnRequest,
  startKillableHive,
  type TestHive,
  type TestHiveParts,
  until,
  untilState,
} from "./supervision-kit.ts";
import { TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const listening = () => spawnRequest(shellSpec("echo listening; exec sleep 600", { ready: { log: "listening" } }));
const loading = () => spawnRequest(shellSpec('printf %s "$HIVE_CALLBACK_TOKEN" >token; exec sleep 600'));

test("after kill -9 of the daemon its workers live on and are adopted in their states", async () => {
  const [served, loaded] = [listening(), loading()];
  const first = await startKillableHive(cleanup, [served, loaded]);
  await until("one worker is ready", () => first.said().includes('"state":"ready"'));
  await until("both are spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const before = [ledgerOf(first, served.worker_id), ledgerOf(first, loaded.worker_id)];
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toEqual({ adopted: 2, reaped: 0, ended: 0, losses: [] });
  for (const entry of before) {
    expect(hive.supervision.list().find(({ worker_id }) => worker_id === entry.worker_id)).toMatchObject({
      state: entry.phase,
      pid: entry.process?.engine.pid,
      start_time: entry.process?.engine.start_time,
      incarnation: 1,
      ready_at: entry.ready_at,
      since: entry.since,
    });
  }
  expect(hive.supervision.get(served.worker_id)?.state).toBe("ready");
  const token = readIfThere(join(hive.stateDir, "workers", loaded.worker_id, "token"));
  const callback = { worker_id: loaded.worker_id, url: "http://127.0.0.1:1", model_ref: "tiny", backend: "test", device: "cpu" };
  expect(await hive.supervision.acceptReady(callback, token)).toEqual({ applied: true });
  expect(hive.ready.map(({ worker_id }) => worker_id)).toEqual([loaded.worker_id]);
  // Not our child, and still its end is an event with an exit status.
  process.kill(identityOf(await untilState(hive, served.worker_id, "ready")).pid, "SIGKILL");
  await untilState(hive, served.worker_id, "ready", 2);
  expect(hive.exited).toMatchObject([{ worker_id: served.worker_id, signal: "SIGKILL", cause: "killed", will_restart: true }]);
});

test("an end that no daemon saw is reported with its exit code and the worker starts again", async () => {
  const request = spawnRequest(shellSpec("echo up; while [ ! -e go ]; do sleep 0.02; done; echo last words; exit 5"));
  const first = await startKillableHive(cleanup, [request]);
  await until("it is spawned", () => first.said().includes('"spawned"'));
  const { process: recorded } = ledgerOf(first, request.worker_id);
  await first.kill();
  const dir = join(first.stateDir, "workers", request.worker_id);
  await until("it runs", () => readIfThere(join(dir, "output.log")).includes("up"));
  writeFileSync(join(dir, "go"), "");
  await until("it has ended", () => recorded !== null && !isProcessAlive(recorded.engine));
  rmSync(join(dir, "go"));
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 0, ended: 1, losses: [] });
  expect(hive.exited).toMatchObject([
    { exit_code: 5, signal: null, log_tail: ["up", "last words"], incarnation: 1, will_restart: true },
  ]);
  await untilState(hive, request.worker_id, "loading", 2);
});

test("an end whose message could not be kept, since its hive was ending, is told by the next one", async () => {
  const script = "setsid sleep 600 & echo up; until [ -e go ]; do sleep 0.02; done; rm go; echo last words; exit 5";
  const request = spawnRequest(shellSpec(script));
  const workerExited = async (): Promise<void> => {
    throw new Error("the outbox is closed");
  };
  const first = await openTestHive(cleanup, { options: { notices: { workerReady: async () => undefined, workerExited } } });
  const ended = Promise.withResolvers<void>();
  // What it has left is killed once all is on disk that ever will be of its end; there the hive is over.
  first.supervision.steps.subscribe(() => void first.supervision[Symbol.asyncDispose]().then(ended.resolve));
  await first.supervision.spawn(request);
  writeFileSync(join(first.stateDir, "workers", request.worker_id, "go"), "");
  await ended.promise;
  const next = await openTestHive(cleanup, { stateDir: first.stateDir, stateId: first.stateId, config: first.options.config });
  await next.supervision.recover();
  expect(await until("its end is told", () => next.exited[0])).toMatchObject({
    worker_id: request.worker_id,
    incarnation: 1,
    exit_code: 5,
    log_tail: ["up", "last words"],
    will_restart: true,
  });
});

test("why a worker was given up, which could not be kept on disk, is told by the next hive", async () => {
  const start = { silence_s: 1, total_s: null, warmup: false };
  const request = spawnRequest(shellSpec("exec sleep 600", { start, restart: { ...fastRestart(), first_s: 600, max_s: 600 } }));
  const workerExited = async (): Promise<void> => {
    throw new Error("the disk is full");
  };
  const first = await openTestHive(cleanup, { options: { notices: { workerReady: async () => undefined, workerExited } } });
  await first.supervision.spawn(request);
  await untilState(first, request.worker_id, "backing_off");
  await first.supervision[Symbol.asyncDispose]();
  const next = await openTestHive(cleanup, { stateDir: first.stateDir, stateId: first.stateId, config: first.options.config });
  await next.supervision.recover();
  expect(await until("its end is told", () => next.exited[0])).toMatchObject({
    worker_id: request.worker_id,
    incarnation: 1,
    cause: "start_silent",
    will_restart: true,
  });
  await untilState(next, request.worker_id, "backing_off");
});

test("the exit code of an adopted worker is known when it ends, and so are its last words", async () => {
  const request = spawnRequest(shellSpec("echo up; while [ ! -e go ]; do sleep 0.02; done; rm go; echo last words; exit 7"));
  const first = await startKillableHive(cleanup, [request]);
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 1 });
  writeFileSync(join(first.stateDir, "workers", request.worker_id, "go"), "");
  await untilState(hive, request.worker_id, "loading", 2);
  expect(hive.exited).toMatchObject([
    { exit_code: 7, signal: null, cause: "unknown", log_tail: ["up", "last words"], incarnation: 1 },
  ]);
});

test("a spawn that was never finished is reaped and made anew", async () => {
  const request = loading();
  const first = await startKillableHive(cleanup, [request]);
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const { process: lost } = ledgerOf(first, request.worker_id);
  rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, phase: "starting", process: null }));
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 0, reaped: 2, ended: 0 });
  expect(lost !== null && isProcessAlive(lost.engine)).toBe(false);
  const again = await untilState(hive, request.worker_id, "loading", 2);
  expect(isProcessAlive(identityOf(again))).toBe(true);
});

test("a stop that was never finished is finished", async () => {
  const request = spawnRequest(shellSpec("trap '' TERM; echo $$ >up; while :; do sleep 0.1; done"));
  const first = await startKillableHive(cleanup, [request], { stop: { termMs: 200, verifyMs: 2_000 } });
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, phase: "stopping", stop_wanted: true }));
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 0, reaped: 1, ended: 0 });
  expect(hive.supervision.list()).toEqual([]);
  expect(markedPids(first.stateId)).toEqual([]);
  expect(hive.exited).toMatchObject([{ cause: "stopped", will_restart: false }]);
});

test.each([
  ["garbage", "{ this is no JSON"],
  ["nothing", ""],
  ["a lie", JSON.stringify({ version: 1, worker_id: "worker-1" })],
])("an entry that holds %s is set aside and said, its processes are ended, and the rest goes on", async (_what, text) => {
  const [damaged, healthy] = [listening(), listening()];
  const first = await startKillableHive(cleanup, [damaged, healthy]);
  await until("both are spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const { process: lost } = ledgerOf(first, damaged.worker_id);
  writeFileSync(ledgerPath(first, damaged.worker_id), text);
  const hive = await reopen(first);
  const report = await hive.supervision.recover();
  expect(report).toMatchObject({ adopted: 1, ended: 0 });
  expect(report.reaped).toBeGreaterThanOrEqual(2);
  expect(report.losses).toHaveLength(1);
  expect(report.losses[0]).toContain(damaged.worker_id);
  expect(lost !== null && isProcessAlive(lost.engine)).toBe(false);
  expect(hive.supervision.list().map(({ worker_id }) => worker_id)).toEqual([healthy.worker_id]);
  expect(readdirSync(join(first.stateDir, "workers", damaged.worker_id)).some((name) => name.includes(".damaged-"))).toBe(true);
  expect((await hive.supervision.spawn(damaged)).created).toBe(true);
});

test("an entry that cannot be read, and a stray that cannot be removed, keep no hive from starting", async () => {
  const [unreadable, healthy] = [listening(), listening()];
  const first = await startKillableHive(cleanup, [unreadable, healthy]);
  await until("both are spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const { process: lost } = ledgerOf(first, unreadable.worker_id);
  const path = ledgerPath(first, unreadable.worker_id);
  rmSync(path);
  mkdirSync(path);
  // No directory, so that what belongs to a worker cannot be removed from it, by whatever user.
  const stray = join(first.stateDir, "workers", newWorkerId());
  writeFileSync(stray, "");
  const hive = await reopen(first);
  const report = await hive.supervision.recover();
  expect(report).toMatchObject({ adopted: 1, ended: 0 });
  const losses = [
    expect.stringMatching(`${unreadable.worker_id} cannot be read \\(EISDIR\\) \\(kept as .*damaged-.*its processes`),
    expect.stringContaining(`cannot remove ${stray}`),
  ];
  expect(report.losses).toEqual(expect.arrayContaining(losses));
  expect(lost !== null && isProcessAlive(lost.engine)).toBe(false);
  expect(hive.supervision.list().map(({ worker_id }) => worker_id)).toEqual([healthy.worker_id]);
  expect((await hive.supervision.spawn(unreadable)).created).toBe(true);
});

test.each([
  ["lives", true],
  ["has ended meanwhile", false],
])(
  "a hung worker that was being replaced and %s is replaced for that reason, not as one that was never ready",
  async (_what, lives) => {
    const request = spawnRequest(
      shellSpec("echo listening; exec sleep 600", { ready: { log: "listening" }, restart: fastRestart({ unready_in_a_row: 1 }) }),
    );
    const first = await startKillableHive(cleanup, [request]);
    await until("it is ready", () => first.said().includes('"state":"ready"'));
    await first.kill();
    const { process: hung } = ledgerOf(first, request.worker_id);
    rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, phase: "stopping", stop_reason: "hung", ready: null }));
    if (hung === null) throw new Error("the ledger has no process");
    if (!lives) process.kill(hung.engine.pid, "SIGKILL");
    await until("its process is as it should be", () => isProcessAlive(hung.engine) === lives);
    const hive = await reopen(first);
    await hive.supervision.recover();
    await untilState(hive, request.worker_id, "ready", 2);
    expect(isProcessAlive(hung.engine)).toBe(false);
    expect(hive.exited).toMatchObject([{ incarnation: 1, cause: "hung", will_restart: true }]);
  },
);

test("a worker that was drained and has ended is not started again by the next daemon", async () => {
  const request = listening();
  const first = await startKillableHive(cleanup, [request]);
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, phase: "stopping", stop_reason: "operator", process: null }));
  const hive = await reopen(first);
  await hive.supervision.recover();
  expect(hive.supervision.list()).toEqual([]);
  expect(markedPids(first.stateId)).toEqual([]);
});

test.skipIf(skipsWithout(existsSync(FREEZER), "the freezer of cgroup v1, so that nothing survives KILL"))(
  "a worker whose last process survives KILL is not started again beside it, and nobody else is on its device",
  async () => {
    const request = loading();
    const first = await startKillableHive(cleanup, [request], { stop: { termMs: 100, verifyMs: 14_000 } });
    await until("it is spawned", () => first.said().includes('"spawned"'));
    await first.kill();
    const { process: stuck } = ledgerOf(first, request.worker_id);
    if (stuck === null) throw new Error("the ledger has no process");
    const frozen = freeze(cleanup, stuck.engine.pid);
    await until("it waits in the kernel", () => readProcStat(stuck.engine.pid)?.state === "D");
    rewriteLedger(first, request.worker_id, (entry) => ({
      ...entry,
      ...{ phase: "backing_off", process: null, retry_at_ms: 0, devices: ["GPU-1"] },
    }));
    const hive = await reopen(first, { devices: new TestDevices([{ id: "GPU-1" }]) });
    const begunMs = performance.now();
    await hive.supervision.recover();
    // `hive start` gives its daemon 15 s.
    expect(performance.now() - begunMs).toBeLessThan(9_000);
    expect(hive.supervision.get(request.worker_id)).toMatchObject({ state: "crashed", incarnation: 1 });
    const other = spawnRequest(shellSpec("exec sleep 600", { devices: ["GPU-1"] }));
    await expect(hive.supervision.spawn(other)).rejects.toMatchObject({ message: expect.stringContaining(request.worker_id) });
    frozen.thaw();
    await untilState(hive, request.worker_id, "loading", 2);
    expect(isProcessAlive(stuck.engine)).toBe(false);
  },
  60_000,
);

test.each([
  ["of another boot", (identity: ProcessIdentity) => ({ ...identity, boot_id: "another-boot" }), "host_rebooted"],
  ["whose pid was used again", (identity: ProcessIdentity) => ({ ...identity, start_time: identity.start_time - 1 }), "unknown"],
])("a recorded process %s is neither adopted nor killed", async (_what, forge, cause) => {
  const request = listening();
  const first = await startKillableHive(cleanup, [request]);
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const { process: own } = ledgerOf(first, request.worker_id);
  if (own === null) throw new Error("the ledger has no process");
  process.kill(-own.shim.pid, "SIGKILL");
  await until("it is gone", () => markedPids(first.stateId).length === 0);
  rmSync(join(first.stateDir, "workers", request.worker_id, "exit-1"), { force: true });
  // Somebody looks around there, in a session whose number was the worker's once.
  const innocent = innocentProcess(join(first.stateDir, "workers", request.worker_id));
  rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, process: { engine: forge(innocent), shim: forge(innocent) } }));
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 0, reaped: 0, ended: 1 });
  expect(isProcessAlive(innocent)).toBe(true);
  await untilState(hive, request.worker_id, "ready", 2);
  expect(hive.exited).toMatchObject([{ exit_code: null, signal: null, cause, will_restart: true }]);
  await hive.supervision.stopAll(Deadline.in(5_000));
  expect(isProcessAlive(innocent)).toBe(true);
});

test("what was seen below a worker in another boot says nothing of the processes of this one", async () => {
  const request = spawnRequest(shellSpec("exit 1", { restart: { ...fastRestart(), first_s: 600, max_s: 600 } }));
  const first = await startKillableHive(cleanup, [request]);
  await until("it waits", () => first.said().includes('"backing_off"'));
  await first.kill();
  const innocent = innocentProcess(join(first.stateDir, "workers", request.worker_id));
  const descendants = [`${innocent.pid}:${innocent.start_time}`];
  rewriteLedger(first, request.worker_id, (entry) => ({ ...entry, boot_id: "another-boot", descendants }));
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toMatchObject({ reaped: 0 });
  expect(isProcessAlive(innocent)).toBe(true);
});

test("a worker that waits for its restart, and one that has failed, go on waiting", async () => {
  const policy = { ...fastRestart(), first_s: 600, max_s: 600 };
  const waiting = spawnRequest(shellSpec("exit 1", { restart: policy }));
  const failed = spawnRequest(shellSpec("exit 66", { restart: policy }));
  const first = await startKillableHive(cleanup, [waiting, failed]);
  await until("both wait", () => first.said().includes('"backing_off"') && first.said().includes('"failed"'));
  await first.kill();
  const hive = await reopen(first);
  expect(await hive.supervision.recover()).toEqual({ adopted: 0, reaped: 0, ended: 0, losses: [] });
  expect(hive.supervision.get(waiting.worker_id)).toMatchObject({ state: "backing_off", exit: { exit_code: 1 } });
  expect(hive.supervision.get(failed.worker_id)).toMatchObject({ state: "failed", exit: { cause: "model_missing" } });
  expect(hive.exited).toEqual([]);
  expect(await hive.supervision.stop(waiting.worker_id, Deadline.in(1_000))).toMatchObject({ how: "already_gone" });
});

test("an adopted worker's grandchildren and output are known, and its stop is proven", async () => {
  const script = "setsid sh -c 'echo $$ >far; exec sleep 600' & echo listening; wait";
  const request = spawnRequest(shellSpec(script, { ready: { log: "listening" } }));
  const first = await startKillableHive(cleanup, [request]);
  await until("it is ready", () => first.said().includes('"state":"ready"'));
  await first.kill();
  const hive = await reopen(first);
  await hive.supervision.recover();
  const far = await identityIn(hive, request.worker_id, "far");
  expect(await hive.supervision.stop(request.worker_id, Deadline.in(5_000))).toMatchObject({ how: "terminated" });
  expect(isProcessAlive(far)).toBe(false);
  expect(markedPids(first.stateId)).toEqual([]);
});

test("after kill -9, a grandchild that only its environment and its descent give away is ended with its worker's leftovers", async () => {
  const kernel = { vmstat: VMSTAT, cgroup: null };
  const script =
    "setsid sh -c 'cd /; exec >/dev/null 2>&1; echo $$ >$0; exec sleep 600' \"$PWD/far\" & echo listening; exec sleep 600";
  const request = spawnRequest(shellSpec(script, { ready: { log: "listening" } }));
  const first = await startKillableHive(cleanup, [request], {}, kernel);
  const dir = join(first.stateDir, "workers", request.worker_id);
  const far = await until("it has a grandchild", () => readProcessIdentity(Number(readIfThere(join(dir, "far")) || -1)));
  await until("that was seen", () => readIfThere(join(dir, "seen-1")).includes(`process ${far.pid}:${far.start_time}\n`));
  await first.kill();
  const { process: own } = ledgerOf(first, request.worker_id);
  if (own === null) throw new Error("the ledger has no process");
  process.kill(-own.shim.pid, "SIGKILL");
  await until("the worker is gone", () => !isProcessAlive(own.engine) && !isProcessAlive(own.shim));
  expect(isProcessAlive(far)).toBe(true);
  const hive = await reopen(first, { kernel });
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 0, reaped: 1, ended: 1 });
  expect(isProcessAlive(far)).toBe(false);
});

test("two hives on one machine never touch each other's workers", async () => {
  const [one, other] = [listening(), listening()];
  const first = await startKillableHive(cleanup, [one]);
  const neighbour = await openTestHive(cleanup);
  await neighbour.supervision.recover();
  await neighbour.supervision.spawn(other);
  const theirs = identityOf(await untilState(neighbour, other.worker_id, "ready"));
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  writeFileSync(ledgerPath(first, one.worker_id), "damaged");
  const hive = await reopen(first);
  expect((await hive.supervision.recover()).reaped).toBeGreaterThanOrEqual(2);
  await hive.supervision.stopAll(Deadline.in(5_000));
  expect(isProcessAlive(theirs)).toBe(true);
  expect(neighbour.supervision.get(other.worker_id)?.state).toBe("ready");
});

test("whenever the daemon is killed while it spawns, nothing of it is lost", async () => {
  for (const killAfterStates of [2, 5, 9]) {
    const requests: SpawnRequest[] = Array.from({ length: 6 }, () => loading());
    const first = await startKillableHive(cleanup, requests);
    await until("it has come that far", () => first.said().split('"state"').length > killAfterStates);
    await first.kill();
    const hive = await reopen(first);
    await hive.supervision.recover();
    const knew = requests.map(({ worker_id }) => worker_id).filter((workerId) => first.said().includes(workerId));
    expect(knew.length).toBeGreaterThan(0);
    expect(hive.supervision.list().map(({ worker_id }) => worker_id)).toEqual(expect.arrayContaining(knew));
    await until("every worker it knew is there", () => hive.supervision.list().every(({ state }) => state === "loading"));
    const known = new Set(hive.supervision.list().map(({ pid }) => pid));
    const engines = await until("all of them have become engines", () => {
      const pids = markedPids(first.stateId).filter((pid) => readIfThere(`/proc/${pid}/cmdline`).startsWith("sleep\0"));
      return pids.length >= knew.length ? pids : null;
    });
    expect(engines.every((pid) => known.has(pid))).toBe(true);
    await hive.supervision.stopAll(Deadline.in(5_000));
    expect(markedPids(first.stateId)).toEqual([]);
  }
});

async function reopen({ stateDir, stateId, config }: KillableHive, options: TestHiveParts["options"] = {}): Promise<TestHive> {
  return await openTestHive(cleanup, { stateDir, stateId, config, options });
}

function ledgerPath({ stateDir }: KillableHive, workerId: WorkerId): string {
  return join(stateDir, "workers", workerId, "ledger.json");
}

function ledgerOf(hive: KillableHive, workerId: WorkerId): LedgerEntry {
  const checked = validateLedgerEntry(JSON.parse(readFileSync(ledgerPath(hive, workerId), "utf8")));
  if (!checked.ok) throw new Error("the ledger entry is damaged");
  return checked.value;
}

function rewriteLedger(hive: KillableHive, workerId: WorkerId, change: (entry: LedgerEntry) => LedgerEntry): void {
  writeFileSync(ledgerPath(hive, workerId), JSON.stringify(change(ledgerOf(hive, workerId))));
}

/** A process of somebody else, which leads a session of its own. */
function innocentProcess(cwd?: string): ProcessIdentity {
  const child = spawn("sleep", ["600"], { stdio: "ignore", detached: true, ...(cwd === undefined ? {} : { cwd }) });
  cleanup.defer(() => void child.kill("SIGKILL"));
  const identity = child.pid === undefined ? null : readProcessIdentity(child.pid);
  if (identity === null) throw new Error("cannot start a process");
  return identity;
}
