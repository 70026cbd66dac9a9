import { parseWorkerId, QhError, type WorkerId, type WorkerRecord } from "@queen-and-hive/protocol";
import type { HiveCalls } from "./hive-calls.ts";

/** How much of a worker's output is wanted. */
export interface OutputQuery {
  /** Lines, in digits; the hive has a default. */
  readonly tail?: string;
}

/** The output of workers, read by their hives. */
export interface WorkerOutput {
  /** The last lines. Throws `worker_not_found`, `peer_unreachable`. */
  workerLogs(workerId: string, query: OutputQuery, signal: AbortSignal): Promise<string>;
  /** The last lines, then what it writes, until it is gone. Throws as `workerLogs` does, before anything is read. */
  followWorkerLogs(workerId: string, query: OutputQuery, signal: AbortSignal): Promise<AsyncIterable<string>>;
}

/** Reads the output of the workers of a list through the links to their hives. */
export function createWorkerOutput(
  workers: () => readonly WorkerRecord[],
  callsOf: (hiveId: string) => HiveCalls | null,
): WorkerOutput {
  const find = (text: string): { readonly workerId: WorkerId; readonly calls: HiveCalls } => {
    const workerId = parseWorkerId(text);
    const worker = workers().find(({ worker_id }) => worker_id === text);
    if (workerId === null || worker === undefined)
      throw new QhError("worker_not_found", `cannot find the worker ${text}; "queen ps" lists those that are there`);
    const calls = callsOf(worker.hive_id);
    if (calls !== null) return { workerId, calls };
    throw new QhError("peer_unreachable", `cannot read the output of ${text}: its hive ${worker.hive_id} cannot be reached now`);
  };
  return {
    async workerLogs(id, query, signal) {
      const { workerId, calls } = find(id);
      return await calls.workerLogs(workerId, query, signal);
    },
    async followWorkerLogs(id, query, signal) {
      const { workerId, calls } = find(id);
      // What the hive refuses is an answer of ours only as long as nothing was sent.
      await calls.getWorker(workerId, signal);
      return calls.followWorkerLogs(workerId, query, signal);
    },
  };
}
