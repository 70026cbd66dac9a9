import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Deadline, isProcessAlive } from "@queen-and-hive/daemon";
import { newWorkerId } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
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

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

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
  const begun = performance.now();
  const answer = await hive.supervision.stopAll(Deadline.in(10_000));
  expect(performance.now() - begun).toBeLessThan(2_000);
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

test("an unknown worker cannot be stopped", async () => {
  const hive = await openTestHive(cleanup);
  await expect(hive.supervision.stop(newWorkerId(), Deadline.in(100))).rejects.toMatchObject({ kind: "worker_not_found" });
});
