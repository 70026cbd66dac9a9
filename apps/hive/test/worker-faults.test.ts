import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isProcessAlive, type ProcessIdentity, readProcessIdentity, readProcStat, signalProcess } from "@queen-and-hive/daemon";
import { startTestHive, type TestHive, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type SpawnRequest, type WorkerRecord } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";
import { identityOf, readIfThere } from "./supervision-kit.ts";

// What goes wrong in workers, each in one of its own, beside the others under one real hive that is killed in between.

const MIB = 1_048_576;
const WITHIN_MS = 60_000;
const CHILD_MIB = 200;
const FLOOD_MIB = 150;
const LOG_MIB = 1;
const LOGS_KEPT = 2;
/** Parts of four times the limit and more are cut, the present one is not. */
const KEPT_BYTES_MAX = (4 * LOGS_KEPT + 1) * LOG_MIB * MIB;

const queen = queenAt("http://127.0.0.1:9");
const faulty = (...faults: readonly string[]): SpawnRequest =>
  fakeWorkerOrder(
    queen,
    faults.flatMap((fault) => ["--fault", fault]),
  );
const closing = faulty("close-descriptors");
const orphaned = faulty("close-descriptors");
const family = faulty(`fork-child=${CHILD_MIB}`);
const crashing = faulty("crash-when-idle=300");
const flooding = faulty(`flood-log=${FLOOD_MIB}`);

let hive: TestHive;
beforeAll(async () => {
  hive = await startTestHive({
    config: { limits: { worker_log: `${LOG_MIB}MiB`, worker_logs_kept: LOGS_KEPT }, sample_every: "100ms" },
  });
}, WITHIN_MS);
afterAll(() => hive?.[Symbol.asyncDispose](), WITHIN_MS);

test(
  "a worker that crashes while it is idle is started again, and its cause and last words are told",
  async () => {
    await spawn(crashing);
    // Each of its starts is ready for a moment only, which nobody may count on seeing.
    const isStartedAgain = async (): Promise<WorkerRecord | null> => {
      const found = await look(crashing);
      return found.restarts >= 1 && found.exit !== null ? found : null;
    };
    const again = await until(isStartedAgain, WITHIN_MS, "its second start");
    expect(again.incarnation).toBeGreaterThanOrEqual(2);
    expect(again.exit).toMatchObject({ exit_code: 1, signal: null, cause: "unknown" });
    expect(again.exit?.log_tail.at(-1)).toContain("the fault crash-when-idle is on");
    await remove(crashing);
  },
  WITHIN_MS,
);

test(
  "children are counted with their worker, and end with it, whichever way it ends",
  async () => {
    await spawn(family);
    const ready = await untilReady(family, 1);
    const child = await childOf(family);
    const resident = async (): Promise<number> => (await look(family)).resident_bytes ?? 0;
    await until(async () => (await resident()) > CHILD_MIB * MIB, WITHIN_MS, "the child to be counted");
    signalProcess(identityOf(ready), "SIGKILL");
    await untilReady(family, 2);
    expect(isProcessAlive(child)).toBe(false);
    const next = await childOf(family);
    await remove(family);
    expect(isProcessAlive(next)).toBe(false);
  },
  WITHIN_MS,
);

test(
  "a worker that floods its log costs the disk and the hive no more than what is kept of it",
  async () => {
    const before = await peakBytes();
    await spawn(flooding);
    await untilReady(flooding, 1);
    await until(() => bytesKept(flooding) <= KEPT_BYTES_MAX, WITHIN_MS, "its output to be within its limits");
    expect(bytesKept(flooding)).toBeGreaterThanOrEqual(LOG_MIB * MIB);
    expect((await peakBytes()) - before).toBeLessThan((FLOOD_MIB / 2) * MIB);
  },
  WITHIN_MS,
);

test("after kill -9 of the hive, workers without their descriptors are adopted and their ends noticed, and floods are cut", async () => {
  // It floods once it listens, when the next daemon has it.
  const later = fakeWorkerOrder(queen, ["--load-ms", "6000", "--fault", "silent-load", "--fault", `flood-log=${FLOOD_MIB}`]);
  for (const order of [closing, orphaned, later]) await spawn(order);
  const [closed, alone] = await Promise.all([untilReady(closing, 1), untilReady(orphaned, 1)]);
  expect(await hive.commands.kill()).toBe(true);
  await hive.start();
  const adopted = await Promise.all([closing, orphaned, later].map((order) => look(order)));
  expect(adopted.map(({ pid, incarnation }) => [pid, incarnation])).toEqual([
    [closed.pid, 1],
    [alone.pid, 1],
    [expect.any(Number), 1],
  ]);
  await untilReady(later, 1);
  await until(() => bytesKept(later) <= KEPT_BYTES_MAX, WITHIN_MS, "its output to be within its limits");
  expect(bytesKept(later)).toBeGreaterThanOrEqual(LOG_MIB * MIB);

  // The end of the shim is the end of file on the pipe that tells of a worker's end: a reason to look, and no end.
  const shim = readProcessIdentity(readProcStat(alone.pid ?? 0)?.ppid ?? 0);
  if (shim === null) return expect.unreachable("each worker has a shim");
  signalProcess(shim, "SIGKILL");
  await until(() => !isProcessAlive(shim), WITHIN_MS, "the shim to be gone");
  signalProcess(identityOf(closed), "SIGKILL");
  expect(await untilReady(closing, 2)).toMatchObject({ exit: { signal: "SIGKILL", cause: "killed" } });
  expect(await look(orphaned)).toMatchObject({ state: "ready", incarnation: 1, pid: alone.pid });
  expect(isProcessAlive(identityOf(alone))).toBe(true);
  signalProcess(identityOf(alone), "SIGKILL");
  // Nobody was there to write down how it ended.
  expect(await untilReady(orphaned, 2)).toMatchObject({ restarts: 1, exit: { exit_code: null, signal: null, cause: "unknown" } });
}, 180_000);

const idOf = ({ worker_id }: SpawnRequest) => ({ worker_id });

async function spawn(order: SpawnRequest): Promise<void> {
  await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: order });
}

async function remove(order: SpawnRequest): Promise<void> {
  await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: idOf(order) });
}

async function look(order: SpawnRequest): Promise<WorkerRecord> {
  return await hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: idOf(order) });
}

async function untilReady(order: SpawnRequest, incarnation: number): Promise<WorkerRecord> {
  const isReady = async (): Promise<WorkerRecord | null> => {
    const found = await look(order);
    return found.incarnation > incarnation || (found.state === "ready" && found.incarnation === incarnation) ? found : null;
  };
  const found = await until(isReady, WITHIN_MS, `start ${incarnation} to be ready`);
  if (found.incarnation !== incarnation) throw new Error(`its start ${incarnation} was missed: ${JSON.stringify(found)}`);
  return found;
}

/** The newest child that a worker says it has forked. */
async function childOf(order: SpawnRequest): Promise<ProcessIdentity> {
  const pid = /forked child (\d+)/.exec(readIfThere(outputOf(order)))?.[1];
  const identity = readProcessIdentity(Number(pid));
  if (identity === null) throw new Error("the worker's child does not live");
  return identity;
}

function outputOf({ worker_id }: SpawnRequest): string {
  return join(hive.stateDir, "workers", worker_id, "output.log");
}

/** What its output takes on the disk, with all that is kept of it. */
function bytesKept(order: SpawnRequest): number {
  const files = ["", ".copy", ...Array.from({ length: 10 }, (_, part) => `.${part}`)].map((end) => `${outputOf(order)}${end}`);
  return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** The most memory that the daemon had so far. */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${hive.identity.pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}
