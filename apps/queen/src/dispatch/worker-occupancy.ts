import type { ReadyWorker } from "../workers/worker-directory.ts";

/** One incarnation of a worker, as a key: a restarted worker starts with empty slots and a clean record. */
export function incarnationKey(worker: ReadyWorker): string {
  return `${worker.workerId}#${worker.incarnation}`;
}

/** How many requests each incarnation of each worker serves now. */
export class WorkerOccupancy {
  readonly #inFlight = new Map<string, number>();

  /** Takes a slot. The function that gives it back works once. */
  enter(worker: ReadyWorker): () => void {
    const key = incarnationKey(worker);
    this.#inFlight.set(key, this.of(key) + 1);
    let entered = true;
    return () => {
      if (!entered) return;
      entered = false;
      const rest = this.of(key) - 1;
      if (rest > 0) this.#inFlight.set(key, rest);
      else this.#inFlight.delete(key);
    };
  }

  /** Requests in flight of one incarnation. */
  of(key: string): number {
    return this.#inFlight.get(key) ?? 0;
  }

  /** Requests in flight of a worker, whatever its incarnation. */
  ofWorker(workerId: ReadyWorker["workerId"]): number {
    let sum = 0;
    for (const [key, count] of this.#inFlight) if (key.startsWith(`${workerId}#`)) sum += count;
    return sum;
  }
}
