import type { Clock } from "@queen-and-hive/daemon";
import type { WaitLimits } from "../domain/queue.ts";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import type { WorkerOccupancy } from "./worker-occupancy.ts";

/** The bounds of one model's queue. */
export interface QueueLimits extends WaitLimits {
  readonly maxWaiting: number;
  /** How long a request whose worker has failed hopes for another one before the failure is said. */
  readonly retryWaitMs: number;
  /** How many conversations are remembered with the worker that knows their prompt. */
  readonly sessionsKept: number;
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
  /** Told when a slot was given back: it wakes every queue that can use it, this one too. */
  readonly freed: (worker: ReadyWorker) => void;
}
