import { isDeepStrictEqual } from "node:util";
import type { ModelSettings } from "../config/settings.ts";
import type { WorkerTable } from "./worker-table.ts";

/** Makes workers unwanted whose model is gone or changed in the configuration. Throws `storage_failed`. */
export function disownChanged(table: WorkerTable, models: ReadonlyMap<string, ModelSettings>): void {
  for (const { row } of table.all()) {
    const spec = models.get(row.record.model)?.spec;
    const isSame = row.spec === null ? spec !== undefined : isDeepStrictEqual(spec, row.spec);
    if (!row.wanted || isSame) continue;
    table.change(
      row.record.worker_id,
      { wanted: false, record: { state: "stopping" } },
      { actor: "queen", cause: "configuration_changed" },
    );
  }
}
