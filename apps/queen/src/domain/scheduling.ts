/** What the scheduler needs to know of a worker. */
export interface WorkerLoad {
  /** Unique per incarnation of a worker. */
  readonly key: string;
  /** How many requests it serves at the same time. */
  readonly slots: number;
  /** How many it serves now. */
  readonly inFlight: number;
}

/**
 * The least loaded worker that has a free slot and is not excluded: most free slots first, then fewest requests in
 * flight, then the order given (so that an idle cluster keeps using one worker's warm cache). Null when there is none.
 */
export function pickWorker<Load extends WorkerLoad>(workers: readonly Load[], excluded: ReadonlySet<string>): Load | null {
  let best: Load | null = null;
  for (const worker of workers) {
    if (freeSlots(worker) <= 0 || excluded.has(worker.key)) continue;
    if (best === null || isLessLoaded(worker, best)) best = worker;
  }
  return best;
}

/** Slots of a worker that serve nobody now; negative when it was given more than it has. */
export function freeSlots(worker: WorkerLoad): number {
  return worker.slots - worker.inFlight;
}

function isLessLoaded(one: WorkerLoad, other: WorkerLoad): boolean {
  const difference = freeSlots(one) - freeSlots(other);
  return difference === 0 ? one.inFlight < other.inFlight : difference > 0;
}
