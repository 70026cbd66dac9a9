import type { FleetContext } from "./fleet-context.ts";
import type { ReadyWorker } from "./worker-directory.ts";

/** The workers of a model that may be given requests now; one that is drained, or yields to another model, is none of them. */
export function readyWorkers(
  { table, hive }: FleetContext,
  modelId: string,
  isOutOfUse: (workerId: string) => boolean,
): readonly ReadyWorker[] {
  const workers: ReadyWorker[] = [];
  for (const { ready, row } of table.ofModel(modelId)) {
    const { worker_id: workerId, hive_id: hiveId } = row.record;
    if (ready !== null && row.wanted && hive(hiveId)?.usable === true && !isOutOfUse(workerId)) workers.push(ready);
  }
  return workers;
}
