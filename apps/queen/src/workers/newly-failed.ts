import type { WorkerRecord } from "@queen-and-hive/protocol";
import type { WorkerTable } from "./worker-table.ts";

/**
 * The model whose worker has failed, when this end of an incarnation is news: it counts once, whichever of its hive's two ways
 * of telling comes first. Null when it is none.
 */
export function newlyFailed(
  table: WorkerTable,
  { worker_id, incarnation }: Pick<WorkerRecord, "worker_id" | "incarnation">,
): string | null {
  const row = table.get(worker_id)?.row;
  if (row === undefined || incarnation <= row.exitedIncarnation) return null;
  const { record } = row;
  if (incarnation < record.incarnation || (record.state === "failed" && record.incarnation === incarnation)) return null;
  return record.model;
}
