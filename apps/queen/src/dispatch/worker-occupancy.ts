import type { Clock } from "@queen-and-hive/daemon";
import type { ReadyWorker } from "../workers/worker-directory.ts";

const keys = new WeakMap<ReadyWorker, string>();

/** One incarnation of a worker, as a key: a restarted worker starts with empty slots and a clean record. */
export function incarnationKey(worker: ReadyWorker): string {
  const known = keys.get(worker);
  if (known !== undefined) return known;
  const key = `${worker.workerId}#${worker.incarnation}`;
  keys.set(worker, key);
  return key;
}

interface Occupied {
  readonly workerId: string;
  inFlight: number;
  lastUsedMs: number;
}

/** How many requests each incarnation of each worker serves now, and when it last served one. */
export class WorkerOccupancy {
  readonly #clock: Clock;
  readonly #occupied = new Map<string, Occupied>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a slot. The function that gives it back works once. */
  enter(worker: ReadyWorker): () => void {
    const occupied = this.#entryOf(worker);
    occupied.inFlight += 1;
    let entered = true;
    return () => {
      if (!entered) return;
      entered = false;
      occupied.inFlight -= 1;
      occupied.lastUsedMs = this.#clock.monotonicMs();
      if (occupied.inFlight === 0 && worker.lost.aborted) this.#occupied.delete(incarnationKey(worker));
    };
  }

  /** Requests in flight of one incarnation. */
  of(key: string): number {
    return this.#occupied.get(key)?.inFlight ?? 0;
  }

  /** Requests in flight of a worker, whatever its incarnation. */
  ofWorker(workerId: string): number {
    let sum = 0;
    for (const occupied of this.#occupied.values()) if (occupied.workerId === workerId) sum += occupied.inFlight;
    return sum;
  }

  /** When a worker gave back its last request, monotonic milliseconds; null when it has served none. */
  lastUsedMs(workerId: string): number | null {
    let last: number | null = null;
    for (const occupied of this.#occupied.values()) {
      if (occupied.workerId === workerId && occupied.lastUsedMs > (last ?? Number.NEGATIVE_INFINITY)) last = occupied.lastUsedMs;
    }
    return last;
  }

  #entryOf(worker: ReadyWorker): Occupied {
    const key = incarnationKey(worker);
    const known = this.#occupied.get(key);
    if (known !== undefined) return known;
    const occupied = { workerId: worker.workerId, inFlight: 0, lastUsedMs: this.#clock.monotonicMs() };
    this.#occupied.set(key, occupied);
    worker.lost.addEventListener(
      "abort",
      () => {
        if (occupied.inFlight === 0) this.#occupied.delete(key);
      },
      { once: true },
    );
    return occupied;
  }
}
