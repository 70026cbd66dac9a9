import type { Metrics } from "@queen-and-hive/daemon";
import type { WorkerCounts } from "./worker-context.ts";

/** The supervisor's own metrics; counted nowhere without a registry. */
export function workerCounts(metrics: Metrics | undefined): WorkerCounts {
  const exits = metrics?.counter("hive_worker_exits_total", "Ends of workers' processes.", ["cause"]);
  const restarts = metrics?.counter("hive_worker_restarts_total", "Starts of workers after the first one.", ["model"]);
  return {
    exited: ({ cause }) => exits?.inc({ cause }),
    restarted: (model) => restarts?.inc({ model }),
  };
}
