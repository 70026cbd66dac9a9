import type { Log } from "@queen-and-hive/daemon";

/** Whoever keeps the list of workers. */
export interface WorkerList {
  /** Throws `storage_failed`. */
  onHiveStopped(hiveId: string): void;
}

/** A hive was stopped with its workers: they are gone, also where the disk does not take that. */
export function forgetWorkers(workers: WorkerList, hiveId: string, log: Log): void {
  try {
    workers.onHiveStopped(hiveId);
  } catch (error) {
    log.error("cannot record that a hive's workers are gone", { error, hive_id: hiveId });
  }
}
