import { until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { askOnce, type RequestEnd } from "./client-load.ts";
import type { FaultGround } from "./fault-ground.ts";
import { daemonsOf, enginesOf, workerIdOf } from "./processes.ts";

/** From when to when, on the clock of the requests. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

const SETTLED_WITHIN_MS = 60_000;
const ASK_WITHIN_MS = 30_000;

/** Waits until the cluster has found itself again after all faults were healed: no invariant broken, a chat answered. */
export async function settled(ground: FaultGround, workersMin: number): Promise<void> {
  await ground.queen.hivesRunning(undefined, SETTLED_WITHIN_MS);
  const calm = async (): Promise<boolean> => {
    const workers = await ground.workers();
    return workers.length >= workersMin && workers.every(({ state }) => state === "ready");
  };
  await until(calm, SETTLED_WITHIN_MS, `at least ${workersMin} workers, all of them ready`);
  const whole = async (): Promise<boolean> => {
    const broken = await brokenInvariants(ground);
    if (broken.length > 0) throw new Error(broken.join("; "));
    return true;
  };
  await until(whole, SETTLED_WITHIN_MS, "a cluster with nothing wrong");
  await until(
    async () => {
      const { kind, detail } = await askOnce({ url: ground.queen.url, model: "fake", hungMs: ASK_WITHIN_MS });
      if (kind !== "complete") throw new Error(`${kind}: ${detail}`);
      return true;
    },
    SETTLED_WITHIN_MS,
    "a chat that is answered",
  );
}

/** What is wrong with a cluster at a quiet point, one line each; nothing of it may be. */
async function brokenInvariants(ground: FaultGround): Promise<readonly string[]> {
  const { hives } = await ground.queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const workers = await ground.workers();
  const broken: string[] = [];
  for (const hive of ground.queen.config.hives ?? []) {
    const daemons = daemonsOf(hive.state_dir ?? "");
    const known = hives.find(({ hive_id }) => hive_id === hive.id)?.pid;
    const pids = daemons.map(({ identity }) => identity.pid);
    if (pids.length !== 1 || pids[0] !== known)
      broken.push(`daemons of ${hive.id}: ${pids.join(", ")}; the queen knows ${known}`);
  }
  const engines = Map.groupBy(enginesOf(ground.folder), workerIdOf);
  for (const [workerId, found] of engines) {
    const known = workers.find(({ worker_id }) => worker_id === workerId);
    const pids = found.map(({ identity }) => identity.pid).join(", ");
    if (known === undefined) broken.push(`an orphan: ${workerId}, process ${pids}, is in no list`);
    else if (found.length !== 1) broken.push(`a duplicate: ${workerId} has the processes ${pids}`);
    else if (found[0]?.identity.pid !== known.pid) broken.push(`${workerId} is process ${pids}; the queen knows ${known.pid}`);
  }
  for (const { worker_id, pid } of workers)
    if (!engines.has(worker_id)) broken.push(`${worker_id} is listed with process ${pid}, which does not exist`);
  return broken;
}

/** Workers and hives with more than one live process, which none may have at any moment, one line each. */
export function duplicates(ground: FaultGround): readonly string[] {
  const daemons = (ground.queen.config.hives ?? []).map((hive) => [hive.id, daemonsOf(hive.state_dir ?? "")] as const);
  return [...daemons, ...Map.groupBy(enginesOf(ground.folder), workerIdOf)]
    .filter(([, found]) => found.length > 1)
    .map(([id, found]) => `${id} has the processes ${found.map(({ identity }) => identity.pid).join(", ")}`);
}

/** Requests that ended as none may: hung, or cut while no outage explains it. */
export function badEnds(ends: readonly RequestEnd[], outages: readonly Span[]): readonly RequestEnd[] {
  return ends.filter((end) => {
    if (end.kind === "complete" || end.kind === "error") return false;
    return end.kind === "hung" || !isWithin(end, outages);
  });
}

/** Whether a request was open at some moment of these. */
export function isWithin({ startedMs, endedMs }: RequestEnd, spans: readonly Span[]): boolean {
  return spans.some(({ fromMs, toMs }) => startedMs <= toMs && endedMs >= fromMs);
}

/** Requests that began and ended while nothing was wrong, and were not answered all the same. */
export function errorsIn(ends: readonly RequestEnd[], quiet: readonly Span[]): readonly RequestEnd[] {
  return ends.filter(
    ({ kind, startedMs, endedMs }) =>
      kind !== "complete" && quiet.some(({ fromMs, toMs }) => startedMs >= fromMs && endedMs <= toMs),
  );
}
