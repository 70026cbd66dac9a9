/** Whether traffic lets a worker be given requests: one that has failed many in a row is tried now and then, or not at all. */
export type WorkerStanding = "trusted" | "on_trial" | "shunned";

/** What the scheduler needs to know of a worker. */
export interface WorkerLoad {
  /** Unique per incarnation of a worker. */
  readonly key: string;
  /** How many requests it serves at the same time. */
  readonly slots: number;
  /** How many it serves now. */
  readonly inFlight: number;
  /** How many conversations have their home here: each has left a part of its prompt in the engine's cache. */
  readonly sessions: number;
  readonly standing: WorkerStanding;
  /** Given a request only while none of the others has a free slot. */
  readonly overflow: boolean;
}

/** By how much of its slots a conversation's home may be busier than the least loaded worker before it is left. */
const HOME_BUSIER_MAX = 0.5;

/**
 * The worker for a request, or null when it has to wait. A conversation goes home, to the worker that knows its prompt,
 * while that has a free slot and is not much busier than others. Otherwise it is the least loaded: most free slots first, then fewest requests in flight, then
 * fewest conversations, then the order given. Overflow comes after all others, also for its conversations, and after a worker on trial: that gets one request
 * at a time, and only when no trusted one of ours has a free slot. A shunned one gets none while there is a trusted one, so that failing fast attracts nothing.
 */
export function pickWorker<Load extends WorkerLoad>(
  workers: readonly Load[],
  excluded: ReadonlySet<string>,
  home: string | null = null,
): Load | null {
  const anyTrusted = workers.some((worker) => worker.standing === "trusted" && !excluded.has(worker.key));
  let best: Load | null = null;
  let atHome: Load | null = null;
  for (const worker of workers) {
    if (excluded.has(worker.key) || !mayTake(worker, anyTrusted)) continue;
    if (worker.key === home && worker.standing === "trusted") atHome = worker;
    if (best === null || isBetter(worker, best)) best = worker;
  }
  if (atHome === null || best === null || atHome.overflow !== best.overflow) return best;
  return busyShare(atHome) - busyShare(best) <= HOME_BUSIER_MAX ? atHome : best;
}

/** Slots of a worker that serve nobody now; negative when it was given more than it has. */
export function freeSlots(worker: Pick<WorkerLoad, "slots" | "inFlight">): number {
  return worker.slots - worker.inFlight;
}

function busyShare(worker: WorkerLoad): number {
  return worker.inFlight / worker.slots;
}

function mayTake(worker: WorkerLoad, anyTrusted: boolean): boolean {
  if (freeSlots(worker) <= 0) return false;
  if (worker.standing === "trusted" || !anyTrusted) return true;
  return worker.standing === "on_trial" && worker.inFlight === 0;
}

function isBetter(one: WorkerLoad, other: WorkerLoad): boolean {
  if (one.overflow !== other.overflow) return other.overflow;
  const byStanding = Number(one.standing === "trusted") - Number(other.standing === "trusted");
  if (byStanding !== 0) return byStanding > 0;
  const byFreeSlots = freeSlots(one) - freeSlots(other);
  if (byFreeSlots !== 0) return byFreeSlots > 0;
  return one.inFlight === other.inFlight ? one.sessions < other.sessions : one.inFlight < other.inFlight;
}
