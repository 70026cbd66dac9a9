import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { Deadline, isProcessAlive, readProcStat, silentLog } from "@queen-and-hive/daemon";
import { skipsWithout } from "@queen-and-hive/dev-env";
import { newWorkerId, type WorkerSpec } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { ownCgroup, WorkerCgroups } from "../src/process/worker-cgroups.ts";
import { FREEZER, freeze } from "./freeze.ts";
import {
  Cleanup,
  fastRestart,
  identityIn,
  identityOf,
  listenOn,
  markedPids,
  nodeSpec,
  openTestHive,
  shellSpec,
  spawnRequest,
  until,
  untilState,
} from "./supervision-kit.ts";
import { TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const lacksFreezer = skipsWithout(existsSync(FREEZER), "the freezer of cgroup v1, so that nothing survives KILL");

test("a worker that hears TERM is terminated, leaves the list and frees its port", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(nodeSpec());
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "ready");
  const answer = await hive.supervision.stop(request.worker_id, Deadline.in(10_000));
  expect(answer).toMatchObject({ worker_id: request.worker_id, how: "terminated" });
  expect(isProcessAlive(identityOf(record))).toBe(false);
  expect(hive.supervision.list()).toEqual([]);
  expect(existsSync(join(hive.stateDir, "workers", request.worker_id))).toBe(false);
  expect(hive.changes.at(-1)).toMatchObject({ removed: true, record: { state: "stopped", pid: null } });
  expect(hive.exited).toMatchObject([{ cause: "stopped", signal: "SIGTERM", exit_code: null, will_restart: false }]);
  const server = createServer();
  await listenOn(server, record.port ?? 0);
  server.close();
});

test("a worker that is deaf to TERM is killed with a grandchild that left its session", async () => {
  const hive = await openTestHive(cleanup, { config: { stop: { termMs: 150, verifyMs: 2_000 } } });
  const deaf =
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; cd /; exec >/dev/null 2>&1; echo $$ >$0; sleep 600; :' \"$PWD/far\" & trap '' TERM; echo $$ >near; while :; do sleep 1; done";
  const request = spawnRequest(shellSpec(deaf));
  const { record } = await hive.supervision.spawn(request);
  const far = await identityIn(hive, request.worker_id, "far");
  await identityIn(hive, request.worker_id, "near");
  // Its only marks left are the environment and its descent, which is noted at the sampler's pace.
  await until("it was measured", () => hive.supervision.get(request.worker_id)?.resident_bytes !== undefined);
  const answer = await hive.supervision.stop(request.worker_id, Deadline.in(10_000));
  expect(answer.how).toBe("killed");
  expect(answer.duration_ms).toBeGreaterThanOrEqual(150);
  expect(isProcessAlive(identityOf(record))).toBe(false);
  expect(isProcessAlive(far)).toBe(false);
  expect(markedPids(hive.stateId)).toEqual([]);
  expect(hive.exited).toMatchObject([{ cause: "stopped", signal: "SIGKILL" }]);
});

test("a grandchild that called setsid, blanked its environment and is deaf to TERM is gone too, proven", async () => {
  const hive = await openTestHive(cleanup, { config: { stop: { termMs: 150, verifyMs: 2_000 } } });
  const blank = "env -i setsid sh -c 'trap \"\" TERM; echo $$ >far; while :; do sleep 0.1; done'";
  const request = spawnRequest(shellSpec(`trap '' TERM; ( ${blank} & ); while :; do sleep 0.1; done`));
  await hive.supervision.spawn(request);
  const far = await identityIn(hive, request.worker_id, "far");
  expect(await hive.supervision.stop(request.worker_id, Deadline.in(10_000))).toMatchObject({ how: "killed" });
  expect(isProcessAlive(far)).toBe(false);
});

test.skipIf(skipsWithout(hasCgroup(), "a cgroup v2 in which groups can be made"))(
  "a grandchild that also left its directory and its output is found in the worker's cgroup",
  async () => {
    const hive = await openTestHive(cleanup, { config: { stop: { termMs: 150, verifyMs: 2_000 } } });
    const lost = "env -i setsid sh -c 'trap \"\" TERM; echo $$ >far; cd /; exec >/dev/null 2>&1; while :; do sleep 0.1; done'";
    const request = spawnRequest(shellSpec(`( ${lost} & ); exec sleep 600`));
    await hive.supervision.spawn(request);
    const far = await identityIn(hive, request.worker_id, "far");
    await hive.supervision.stop(request.worker_id, Deadline.in(10_000));
    expect(isProcessAlive(far)).toBe(false);
    expect(cgroupNames().filter((name) => name.includes(hive.stateId))).toEqual([]);
  },
);

test("every step of a stop is told with its duration: callers gone, TERM, KILL, port, proof", async () => {
  const hive = await openTestHive(cleanup, { config: { stop: { termMs: 200, verifyMs: 2_000 } } });
  const request = spawnRequest(nodeSpec(["--ignore-term"]));
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "ready");
  const caller = connect(record.port ?? 0, "127.0.0.1");
  await once(caller, "connect");
  await hive.supervision.drain(request.worker_id);
  const stopped = hive.supervision.stop(request.worker_id, Deadline.in(20_000));
  await until("it is being stopped", () => hive.supervision.get(request.worker_id)?.state === "stopping");
  caller.destroy();
  await stopped;
  expect(hive.steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
    ...["drain ok", "idle ok", "term over", "kill ok", "port ok", "gone ok"],
  ]);
  const [, , term, kill, , gone] = hive.steps;
  expect(term?.durationMs).toBeGreaterThanOrEqual(195);
  expect(kill?.pids).toContain(record.pid);
  expect(gone?.durationMs).toBeGreaterThanOrEqual((term?.durationMs ?? 0) + (kill?.durationMs ?? 0));
});

test.skipIf(lacksFreezer)(
  "a process that not even KILL ends is named, its device is closed, and nothing waits for it for ever",
  async () => {
    const hive = await openTestHive(cleanup, {
      config: { stop: { termMs: 100, verifyMs: 300 } },
      options: { devices: new TestDevices([{ id: "GPU-1" }, { id: "GPU-2" }]) },
    });
    const spec = shellSpec("exec sleep 600", { devices: ["GPU-1"] });
    const request = spawnRequest(spec);
    const { record } = await hive.supervision.spawn(request);
    const frozen = freeze(cleanup, identityOf(record).pid);
    await until("it waits in the kernel", () => readProcStat(identityOf(record).pid)?.state === "D");
    const refusal = { kind: "stop_failed", message: expect.stringContaining(`${record.pid} (waits in the kernel, state D)`) };
    await expect(hive.supervision.stop(request.worker_id, Deadline.in(20_000))).rejects.toMatchObject(refusal);
    expect(hive.steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual(["term over", "kill left", "gone left"]);
    expect(hive.steps.at(-1)?.pids).toContain(record.pid);
    await expect(hive.supervision.spawn(spawnRequest(spec))).rejects.toMatchObject({
      kind: "spawn_failed",
      message: expect.stringContaining(`${record.pid}`),
    });
    const elsewhere = spawnRequest({ ...spec, devices: ["GPU-2"] });
    await hive.supervision.spawn(elsewhere);
    frozen.thaw();
    await until("its end was heard of and proven", () => hive.supervision.get(request.worker_id) === null);
    expect((await hive.supervision.spawn(spawnRequest(spec))).created).toBe(true);
  },
);

const itself = "sleep 600 & echo $! >child; echo listening; exec sleep 600";
test.skipIf(lacksFreezer).each<[string, WorkerSpec, object]>([
  [
    "gave no sign of life while it started",
    shellSpec(itself, { start: { silence_s: 3, total_s: 60, warmup: false } }),
    { cause: "start_silent", incarnation: 1, will_restart: true },
  ],
  [
    "was ready and hangs",
    shellSpec(itself, { ready: { log: "listening" } }),
    { cause: "hung", incarnation: 1, will_restart: true },
  ],
])(
  "a worker that %s is ended by the hive itself, again until what survived KILL is gone, and only then started again",
  async (_why, spec, exited) => {
    const health = { everyMs: 50, timeoutMs: 1_000, hungAfterMs: 1_500, replaceAfterMs: 1_000 };
    const hive = await openTestHive(cleanup, { config: { health, stop: { termMs: 100, verifyMs: 300 } } });
    const request = spawnRequest(spec);
    await hive.supervision.spawn(request);
    const child = await identityIn(hive, request.worker_id, "child");
    const frozen = freeze(cleanup, child.pid);
    await until("its end was given up", () => hive.steps.some(({ step, outcome }) => step === "gone" && outcome === "left"));
    expect(hive.supervision.get(request.worker_id)).toMatchObject({ state: "stopping", incarnation: 1 });
    expect([isProcessAlive(child), hive.exited]).toEqual([true, []]);
    frozen.thaw();
    await untilState(hive, request.worker_id, "loading", 2);
    expect(isProcessAlive(child)).toBe(false);
    expect(hive.exited).toMatchObject([exited]);
  },
  60_000,
);

test("a stopped (SIGSTOP) worker hears its TERM", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(shellSpec("exec sleep 600"));
  const { record } = await hive.supervision.spawn(request);
  process.kill(identityOf(record).pid, "SIGSTOP");
  expect(await hive.supervision.stop(request.worker_id, Deadline.in(10_000))).toMatchObject({ how: "terminated" });
});

test("a stop cancels a restart that is due, and what was stopped stays so", async () => {
  const hive = await openTestHive(cleanup);
  const slow = { ...fastRestart(), first_s: 0.2, jitter: 0 };
  const request = spawnRequest(shellSpec("exit 1", { restart: slow }));
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "backing_off");
  expect(await hive.supervision.stop(request.worker_id, Deadline.in(5_000))).toMatchObject({ how: "already_gone" });
  const changes = hive.changes.length;
  await until("the restart would have been due", () => Date.now() - Date.parse(hive.changes.at(-1)?.record.since ?? "") > 300);
  expect(hive.changes).toHaveLength(changes);
  expect(markedPids(hive.stateId)).toEqual([]);
});

test("two stops at once are one stop, and the shorter deadline counts", async () => {
  const hive = await openTestHive(cleanup, { config: { stop: { termMs: 60_000, verifyMs: 2_000 } } });
  const request = spawnRequest(shellSpec("trap '' TERM; echo $$ >up; while :; do sleep 0.1; done"));
  await hive.supervision.spawn(request);
  await identityIn(hive, request.worker_id, "up");
  const answers = await Promise.all([
    hive.supervision.stop(request.worker_id, Deadline.never()),
    hive.supervision.stop(request.worker_id, Deadline.in(400)),
  ]);
  expect(answers.map(({ how }) => how)).toEqual(["killed", "killed"]);
  expect(hive.exited).toHaveLength(1);
});

test("stopping all stops side by side, refuses new spawns, and says how each ended", async () => {
  const hive = await openTestHive(cleanup, { config: { stop: { termMs: 300, verifyMs: 2_000 } } });
  const deaf = shellSpec("trap '' TERM; echo $$ >up; while :; do sleep 0.1; done");
  const requests = [spawnRequest(deaf), spawnRequest(deaf), spawnRequest(shellSpec("exec sleep 600"))];
  for (const request of requests) await hive.supervision.spawn(request);
  for (const { worker_id } of requests.slice(0, 2)) await identityIn(hive, worker_id, "up");
  const times = new Map<string, number>();
  hive.supervision.steps.subscribe(({ workerId, step, durationMs }) => {
    if (step === "term") times.set(`${workerId} begins`, performance.now() - durationMs);
    if (step === "gone") times.set(`${workerId} gone`, performance.now());
  });
  const answer = await hive.supervision.stopAll(Deadline.in(10_000));
  const at = (index: number, what: string): number => times.get(`${requests[index]?.worker_id} ${what}`) ?? Number.NaN;
  expect(at(0, "begins")).toBeLessThan(at(1, "gone"));
  expect(at(1, "begins")).toBeLessThan(at(0, "gone"));
  expect(answer.map(({ worker_id, how }) => [worker_id, how])).toEqual([
    [requests[0]?.worker_id, "killed"],
    [requests[1]?.worker_id, "killed"],
    [requests[2]?.worker_id, "terminated"],
  ]);
  expect(markedPids(hive.stateId)).toEqual([]);
  await expect(hive.supervision.spawn(spawnRequest(deaf))).rejects.toMatchObject({ kind: "shutting_down" });
});

test("a worker that is still being launched can be stopped", async () => {
  const hive = await openTestHive(cleanup, { options: { callbackUrl: () => new Promise<string>(() => undefined) } });
  const request = spawnRequest(shellSpec("exec sleep 600"));
  const spawned = hive.supervision.spawn(request);
  await until("it is starting", () => hive.supervision.get(request.worker_id)?.state === "starting");
  const stopped = hive.supervision.stop(request.worker_id, Deadline.in(5_000));
  await expect(spawned).rejects.toMatchObject({ kind: "shutting_down" });
  expect(await stopped).toMatchObject({ how: "already_gone" });
  expect(hive.supervision.list()).toEqual([]);
  expect(existsSync(join(hive.stateDir, "workers", request.worker_id))).toBe(false);
});

test.skipIf(skipsWithout(process.getuid?.() === 0, "root"))(
  "a start that fails keeps no other from its device, also when its record cannot be removed",
  async () => {
    const spec = shellSpec("exec sleep 600", { devices: ["GPU-1"] });
    const [failing, next] = [spawnRequest(spec), spawnRequest(spec)];
    let fails = true;
    const callbackUrl = async (): Promise<string> => {
      if (!fails) return "http://127.0.0.1:1/ready";
      fails = false;
      // A directory that something is mounted on cannot be removed.
      const busy = join(hive.stateDir, "workers", failing.worker_id, "busy");
      mkdirSync(busy);
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", busy]);
      cleanup.defer(() => void execFileSync("umount", [busy]));
      throw new Error("no address");
    };
    const devices = new TestDevices([{ id: "GPU-1" }]);
    const hive = await openTestHive(cleanup, { options: { devices, callbackUrl } });
    await expect(hive.supervision.spawn(failing)).rejects.toThrow();
    await hive.supervision.spawn(next);
    await untilState(hive, next.worker_id, "loading");
  },
);

test("an unknown worker cannot be stopped", async () => {
  const hive = await openTestHive(cleanup);
  await expect(hive.supervision.stop(newWorkerId(), Deadline.in(100))).rejects.toMatchObject({ kind: "worker_not_found" });
});

/** Whether this machine lets us make cgroups (v2). */
function hasCgroup(): boolean {
  const groups = new WorkerCgroups(`probe${process.pid}`, silentLog);
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    return groups.hold("probe", child.pid ?? 0);
  } finally {
    child.kill("SIGKILL");
    child.once("exit", () => groups.remove("probe"));
  }
}

function cgroupNames(): readonly string[] {
  return readdirSync(ownCgroup() ?? "/nowhere");
}
