import type { FleetContext } from "./fleet-context.ts";
import type { WorkerEntry } from "./worker-table.ts";

/** How a worker is used at this moment; ages in milliseconds. */
export interface WorkerUsage {
  readonly workerId: string;
  readonly inFlight: number;
  /** Requests that wait for its model. */
  readonly waiting: number;
  readonly readyForMs: number;
  /** Since it gave back its last request, or became ready. */
  readonly idleForMs: number;
}

/** Looks at one worker. */
export function usageOf(context: FleetContext, { row, readySinceMs }: WorkerEntry): WorkerUsage {
  const { worker_id: workerId, model } = row.record;
  const nowMs = context.clock.monotonicMs();
  const sinceMs = readySinceMs ?? nowMs;
  return {
    workerId,
    inFlight: context.inFlight(workerId),
    waiting: context.waiting(model),
    readyForMs: nowMs - sinceMs,
    idleForMs: nowMs - Math.max(sinceMs, context.lastUsedMs(workerId) ?? sinceMs),
  };
}
