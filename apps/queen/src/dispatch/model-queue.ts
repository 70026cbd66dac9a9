import type { Clock } from "@queen-and-hive/daemon";
import { formatDurationMs, QhError } from "@queen-and-hive/protocol";
import {
  nextServiceMs,
  type QueueClock,
  readQueueClock,
  remainingWaitMs,
  retryAfterS,
  startQueueClock,
  switchQueueClock,
  waitedSince,
} from "../domain/queue.ts";
import { pickWorker } from "../domain/scheduling.ts";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import type { Lease, LeaseRequest, Ticket } from "./ticket.ts";
import { incarnationKey, type WorkerOccupancy } from "./worker-occupancy.ts";

/** The bounds of one model's queue. */
export interface QueueLimits {
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  readonly loadWaitMs: number;
  /** How long a request whose worker has failed hopes for another one before the failure is said. */
  readonly retryWaitMs: number;
}

/** What a queue works with. */
export interface ModelQueueParts {
  readonly modelId: string;
  readonly directory: WorkerDirectory;
  readonly occupancy: WorkerOccupancy;
  readonly limits: QueueLimits;
  readonly clock: Clock;
  /** Told after every change of the number of waiting requests. */
  readonly depthChanged: (waiting: number) => void;
}

/**
 * The requests that wait for one model, in the order of their arrival. It looks at the workers only when something has
 * happened: a request came, a slot was given back, the directory fired. One timer ends the oldest when it is too old.
 */
export class ModelQueue {
  readonly #parts: ModelQueueParts;
  #waiting = new Map<number, Ticket>();
  #queueClock: QueueClock;
  #lastSequence = 0;
  #serviceMs = 0;
  #expiry: Disposable | null = null;
  #pumping = false;
  #pumpAgain = false;
  #closing: QhError | null = null;

  constructor(parts: ModelQueueParts) {
    this.#parts = parts;
    this.#queueClock = startQueueClock("load", parts.clock.monotonicMs());
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for a slot. Rejects with `queue_full`, `queue_timeout`, `load_timeout`, `model_unavailable`,
   * `no_hive_available`, the request's last error, or the reason of its signal.
   */
  lease(sequence: number, request: LeaseRequest): Promise<Lease> {
    const { clock, limits, directory, modelId } = this.#parts;
    const nowMs = clock.monotonicMs();
    // While nobody waits nobody keeps the mode up to date; what it is now shows in a moment.
    if (this.#waiting.size === 0) this.#queueClock = startQueueClock("slot", nowMs);
    const shown = readQueueClock(this.#queueClock, nowMs);
    return new Promise((resolve, reject) => {
      if (request.signal.aborted) {
        reject(request.signal.reason);
        return;
      }
      const settle = request.lastError === null ? null : clock.after(limits.retryWaitMs, () => this.#giveUpOnAnother(ticket));
      const leaveWith = (end: () => void): void => {
        request.signal.removeEventListener("abort", abandon);
        settle?.[Symbol.dispose]();
        this.#remove(ticket);
        end();
      };
      const abandon = (): void => leaveWith(() => reject(request.signal.reason));
      request.signal.addEventListener("abort", abandon, { once: true });
      const ticket: Ticket = {
        sequence,
        excluded: request.excluded,
        lastError: request.lastError,
        entry: request.place === null ? shown : waitedSince(request.place.waited, shown),
        grant: (lease) => leaveWith(() => resolve(lease)),
        refuse: (error) => leaveWith(() => reject(error)),
      };
      this.#insert(ticket);
      this.#pump(null);
      if (request.place === null && this.#waiting.has(sequence) && this.waiting > limits.maxWaiting) {
        const slots = directory.ready(modelId).reduce((sum, worker) => sum + worker.slots, 0);
        const retryAfter = retryAfterS({ waiting: this.waiting, slots, serviceMs: this.#serviceMs });
        ticket.refuse(
          new QhError(
            "queue_full",
            `cannot queue the request: ${limits.maxWaiting} already wait for ${modelId}; try again later`,
            {
              retryAfterS: retryAfter,
            },
          ),
        );
      }
    });
  }

  /** The directory says that something about this model's workers has changed. */
  changed(): void {
    if (this.#waiting.size > 0) this.#pump(this.#parts.clock.monotonicMs());
  }

  /** From now on requests wait for slots only: whoever waits for a load is refused with this error. */
  refuseLoads(error: QhError): void {
    this.#closing = error;
    if (this.#waiting.size > 0) this.#pump(null);
  }

  /** Refuses everybody who waits. */
  refuseAll(error: QhError): void {
    for (const ticket of [...this.#waiting.values()]) ticket.refuse(error);
  }

  #insert(ticket: Ticket): void {
    this.#waiting.set(ticket.sequence, ticket);
    // A request that is tried again goes back to where its arrival puts it.
    if (ticket.sequence < this.#lastSequence) this.#waiting = new Map([...this.#waiting].sort(([one], [other]) => one - other));
    this.#lastSequence = Math.max(this.#lastSequence, ticket.sequence);
    this.#parts.depthChanged(this.#waiting.size);
  }

  #remove(ticket: Ticket): void {
    if (!this.#waiting.delete(ticket.sequence)) return;
    this.#parts.depthChanged(this.#waiting.size);
    if (this.#waiting.size === 0) this.#disarm();
  }

  /** Gives slots to whom it can, asks for a worker for the rest. What happens meanwhile is looked at in another turn. */
  #pump(eventAtMs: number | null): void {
    this.#pumpAgain = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      let asked = false;
      while (this.#pumpAgain) {
        this.#pumpAgain = false;
        this.#place(eventAtMs);
        if (this.#waiting.size === 0 || asked) continue;
        asked = true;
        this.#parts.directory.want(this.#parts.modelId);
      }
    } finally {
      this.#pumping = false;
    }
    this.#refuseTheHopeless();
    this.#arm();
  }

  #place(eventAtMs: number | null): void {
    const { directory, modelId, occupancy, clock } = this.#parts;
    const workers = directory.ready(modelId).filter((worker) => !worker.lost.aborted);
    this.#queueClock = switchQueueClock(this.#queueClock, workers.length > 0 ? "slot" : "load", clock.monotonicMs());
    for (const ticket of [...this.#waiting.values()]) {
      const loads = workers.map((worker) => {
        const key = incarnationKey(worker);
        return { key, slots: worker.slots, inFlight: occupancy.of(key), worker };
      });
      const picked = pickWorker(loads, ticket.excluded);
      if (picked !== null) ticket.grant(this.#lease(ticket, picked.worker, eventAtMs));
      else if (ticket.excluded.size === 0) return;
    }
  }

  #lease(ticket: Ticket, worker: ReadyWorker, eventAtMs: number | null): Lease {
    const leave = this.#parts.occupancy.enter(worker);
    const waited = waitedSince(ticket.entry, readQueueClock(this.#queueClock, this.#parts.clock.monotonicMs()));
    return {
      worker,
      place: { sequence: ticket.sequence, waited },
      resumedAtMs: eventAtMs,
      release: (servedMs) => {
        leave();
        if (servedMs !== null) this.#serviceMs = nextServiceMs(this.#serviceMs, servedMs);
        if (this.#waiting.size > 0) this.#pump(null);
      },
    };
  }

  #refuseTheHopeless(): void {
    if (this.#waiting.size === 0 || this.#queueClock.mode === "slot") return;
    if (this.#closing !== null) {
      this.refuseAll(this.#closing);
      return;
    }
    const failure = this.#parts.directory.failure(this.#parts.modelId);
    if (failure === null) return;
    this.refuseAll(
      new QhError(failure.cause === "no_hive_available" ? "no_hive_available" : "model_unavailable", failure.message, {
        param: "model",
        details: { cause: failure.cause },
        retryAfterS: failure.retryAfterS,
      }),
    );
  }

  /** The only workers are those that have failed this request, and no other is on its way. */
  #giveUpOnAnother(ticket: Ticket): void {
    const { directory, modelId } = this.#parts;
    if (ticket.lastError === null || !this.#waiting.has(ticket.sequence) || directory.starting(modelId) > 0) return;
    const workers = directory.ready(modelId);
    if (workers.length > 0 && workers.every((worker) => ticket.excluded.has(incarnationKey(worker))))
      ticket.refuse(ticket.lastError);
  }

  #arm(): void {
    this.#disarm();
    const [oldest] = this.#waiting.values();
    if (oldest === undefined) return;
    this.#expiry = this.#parts.clock.after(Math.max(0, this.#leftMs(oldest)), () => this.#expire());
  }

  #disarm(): void {
    this.#expiry?.[Symbol.dispose]();
    this.#expiry = null;
  }

  #expire(): void {
    for (const ticket of [...this.#waiting.values()]) if (this.#leftMs(ticket) <= 0) ticket.refuse(this.#tooOld());
    this.#arm();
  }

  #leftMs(ticket: Ticket): number {
    const waited = waitedSince(ticket.entry, readQueueClock(this.#queueClock, this.#parts.clock.monotonicMs()));
    return remainingWaitMs(waited, this.#queueClock.mode, this.#parts.limits);
  }

  #tooOld(): QhError {
    const { limits, modelId } = this.#parts;
    if (this.#queueClock.mode === "load") {
      return new QhError(
        "load_timeout",
        `cannot wait longer than ${formatDurationMs(limits.loadWaitMs)} for ${modelId} to load; try again later`,
      );
    }
    return new QhError(
      "queue_timeout",
      `cannot wait longer than ${formatDurationMs(limits.maxWaitMs)} for a free slot of ${modelId}; try again later`,
    );
  }
}
