import type { Clock } from "@queen-and-hive/daemon";
import type { QhError } from "@queen-and-hive/protocol";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import { ModelQueue } from "./model-queue.ts";
import type { QueueLimits } from "./queue-parts.ts";
import type { Lease, LeaseRequest } from "./ticket.ts";
import { incarnationKey, WorkerOccupancy } from "./worker-occupancy.ts";

/** What dispatch works with. */
export interface DispatcherParts {
  readonly directory: WorkerDirectory;
  readonly limits: QueueLimits;
  readonly clock: Clock;
  /** Told after every change of a queue's length. */
  readonly depthChanged: (modelId: string, waiting: number) => void;
}

/** Decides which worker serves a request, and lets it wait when none can: one queue per model, woken by events only. */
export class Dispatcher implements Disposable {
  readonly #parts: DispatcherParts;
  readonly #queues = new Map<string, ModelQueue>();
  readonly #occupancy: WorkerOccupancy;
  readonly #subscription: Disposable;
  #sequence = 0;
  #closing: QhError | null = null;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#occupancy = new WorkerOccupancy(parts.clock);
    this.#subscription = parts.directory.changes.subscribe((modelId) => this.#queues.get(modelId)?.changed());
  }

  /** A slot of the worker that fits a request best; see `ModelQueue.lease` for the errors. */
  lease(modelId: string, request: LeaseRequest): Promise<Lease> {
    this.#sequence += 1;
    return this.#queueOf(modelId).lease(request.place?.sequence ?? this.#sequence, request);
  }

  /** How many requests a worker serves now. */
  inFlight(workerId: string): number {
    return this.#occupancy.ofWorker(workerId);
  }

  /** When a worker gave back its last request, monotonic milliseconds; null when it has served none. */
  lastUsedMs(workerId: string): number | null {
    return this.#occupancy.lastUsedMs(workerId);
  }

  /** How many requests wait for a model. */
  waiting(modelId: string): number {
    return this.#queues.get(modelId)?.waiting ?? 0;
  }

  /** Whoever waits for a model to load is refused with this error, now and later. */
  refuseLoads(error: QhError): void {
    this.#closing = error;
    for (const queue of this.#queues.values()) queue.refuseLoads(error);
  }

  /** Listens to no more events. Requests that still wait are the caller's to end. */
  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #queueOf(modelId: string): ModelQueue {
    const known = this.#queues.get(modelId);
    if (known !== undefined) return known;
    const { directory, limits, clock, depthChanged } = this.#parts;
    const queue = new ModelQueue({
      modelId,
      directory,
      occupancy: this.#occupancy,
      limits,
      clock,
      depthChanged: (waiting) => depthChanged(modelId, waiting),
      freed: (worker) => this.#freed(worker),
    });
    if (this.#closing !== null) queue.refuseLoads(this.#closing);
    this.#queues.set(modelId, queue);
    return queue;
  }

  /** The models of an upstream share its slots: whose next request has come first is served first. */
  #freed(worker: ReadyWorker): void {
    const key = incarnationKey(worker);
    const next: { readonly queue: ModelQueue; readonly sequence: number }[] = [];
    for (const queue of this.#queues.values()) {
      const sequence = queue.nextFor(key);
      if (sequence !== null) next.push({ queue, sequence });
    }
    next.sort((one, other) => one.sequence - other.sequence);
    for (const { queue } of next) queue.pump();
  }
}
