import { setTimeout as sleep } from "node:timers/promises";
import { Deadline, isProcessAlive, readProcStat } from "@queen-and-hive/daemon";
import { processesOf, startTestHive, type TestHive, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, newQueenId, newWorkerId, QhError, type SpawnRequest, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { identityOf } from "../cluster/identity.ts";

const KILLS = Number(process.env["KILLS"] ?? 200);
const SPAWNS_AT_ONCE = 4;
/** From before the first intent is on disk to after the last process runs, on a fast machine and on a slow one. */
const KILL_WITHIN_MS = 250;
const SETTLE_MS = 30_000;
const QUEEN_ID = newQueenId();

it(
  `of ${KILLS} kills at random moments of spawning, none loses a child and none leaves one twice`,
  async () => {
    await using hive = await startTestHive();
    const totals = { answered: 0, running: 0 };
    for (let kill = 0; kill < KILLS; kill += 1) {
      const orders = Array.from({ length: SPAWNS_AT_ONCE }, order);
      const calls = Promise.allSettled(orders.map((body) => hive.peer.call(HIVE_ENDPOINTS.postWorker, { body })));
      const momentMs = Math.random() * KILL_WITHIN_MS;
      await sleep(momentMs);
      await hive.commands.kill();
      const answered = (await calls).flatMap(answerOf);
      totals.answered += answered.length;
      await hive.start();
      const { workers } = await hive.peer.call(HIVE_ENDPOINTS.listWorkers);
      totals.running += workers.filter(({ pid }) => pid !== null).length;
      const story = `kill ${kill}, ${momentMs.toFixed(1)} ms after the calls`;
      const listed = new Set(workers.map(({ worker_id }) => worker_id));
      expect(
        answered.filter(({ worker_id }) => !listed.has(worker_id)),
        `${story}: a worker that was answered is known`,
      ).toEqual([]);
      // A spawn that was cut off is made anew right after the start, so the list is asked until it stands still.
      await until(async () => strangers(hive, await listOf(hive)).length === 0, SETTLE_MS).catch(async () =>
        expect(strangers(hive, await listOf(hive)), `${story}: every process is a worker's, and each worker has one`).toEqual([]),
      );
      for (const stopped of await Promise.allSettled(workers.map(({ worker_id }) => stop(hive, worker_id)))) {
        if (stopped.status === "fulfilled") continue;
        const now = JSON.stringify(await listOf(hive), null, 1);
        throw new Error(`${story}: a worker is not stopped; now there are ${now}`, { cause: stopped.reason });
      }
      await until(() => workersProcesses(hive).length === 0, SETTLE_MS).catch(async () =>
        expect(workersProcesses(hive), `${story}: all stopped`).toEqual([]),
      );
    }
    expect(totals.answered, "spawns that were answered before a kill").toBeGreaterThan(0);
    expect(totals.running, "workers that ran right after a restart").toBeGreaterThan(0);
  },
  KILLS * 10_000,
);

/** A call that the kill cuts off is an answer that never came: its worker may be there or not, but never unknown. */
function answerOf<T>(call: PromiseSettledResult<T>): readonly T[] {
  if (call.status === "fulfilled") return [call.value];
  if (call.reason instanceof QhError && call.reason.kind === "peer_unreachable") return [];
  throw call.reason;
}

async function stop(hive: TestHive, worker_id: string): Promise<void> {
  const deadline = Deadline.in(SETTLE_MS);
  await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id }, deadline });
}

async function listOf(hive: TestHive): Promise<readonly WorkerRecord[]> {
  return (await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers;
}

/** Processes that live and are neither the engine nor the shim of a worker in the list, and workers whose process does not live. */
function strangers(hive: TestHive, workers: readonly WorkerRecord[]): readonly string[] {
  const running = workers.filter(({ pid }) => pid !== null);
  const known = new Set(running.flatMap(({ pid }) => (pid === null ? [] : [pid, readProcStat(pid)?.ppid ?? 0])));
  const unknown = workersProcesses(hive).filter((pid) => !known.has(pid));
  const dead = running.filter((worker) => !isProcessAlive(identityOf(worker)));
  return [...unknown.map((pid) => `process ${pid}`), ...dead.map(({ worker_id }) => `${worker_id} without its process`)];
}

/** All that has to do with the hive but the daemon: engines, shims, and shells that still hold a start. */
function workersProcesses(hive: TestHive): readonly number[] {
  const daemon = hive.identity.pid;
  return processesOf({ folder: hive.folder }).flatMap(({ identity: { pid } }) => (pid === daemon ? [] : [pid]));
}

function order(): SpawnRequest {
  const breaker = { restarts: 1_000, window_s: 300, unready_in_a_row: 1_000 };
  return {
    worker_id: newWorkerId(),
    queen_id: QUEEN_ID,
    queen_epoch: 1,
    queen_url: "http://127.0.0.1:9",
    spec: {
      model: { id: "sleeper" },
      runtime: { name: "sleeper", command: ["sleep", "4321"], ready: { callback: true } },
      args: [],
      env: {},
      devices: [],
      slots: 1,
      start: { silence_s: null, total_s: null, warmup: false },
      restart: { first_s: 60, factor: 1, max_s: 60, jitter: 0, breaker, retry_open_every_s: null },
      labels: {},
    },
  };
}
