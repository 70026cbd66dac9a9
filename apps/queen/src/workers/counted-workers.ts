import type { FleetContext } from "./fleet-context.ts";
import type { WorkerEntry } from "./worker-table.ts";

/**
 * Wanted workers of a model, without those of hives whose workers others stand in for, or that the configuration no longer
 * has.
 */
export function countedWorkers({ table, hive }: FleetContext, modelId: string): readonly WorkerEntry[] {
  return table.ofModel(modelId).filter(({ row }) => row.wanted && hive(row.record.hive_id)?.isReplaced === false);
}
