import { planStandInsEnd } from "../domain/stand-ins.ts";
import type { FleetContext } from "./fleet-context.ts";

/** Workers that stood in for those of a hive which is back are drained and stopped. */
export class StandIns {
  readonly #context: FleetContext;
  readonly #drain: (workerId: string, cause: string) => Promise<void>;
  /** Hive whose workers do not count -> since when, ISO 8601. */
  readonly #lostSince = new Map<string, string>();

  constructor(context: FleetContext, drain: (workerId: string, cause: string) => Promise<void>) {
    this.#context = context;
    this.#drain = drain;
  }

  /** A hive has changed: its workers may count again, or no longer. Its snapshot, if it is back, has been applied. */
  onHiveState(hiveId: string): void {
    const hive = this.#context.hive(hiveId);
    if (hive?.isReplaced === true && !this.#lostSince.has(hiveId))
      this.#lostSince.set(hiveId, new Date(this.#context.clock.nowMs()).toISOString());
    if (hive?.usable !== true) return;
    const since = this.#lostSince.get(hiveId);
    if (since === undefined || hive.isReplaced) return;
    this.#lostSince.delete(hiveId);
    this.#end(hiveId, since);
  }

  #end(hiveId: string, since: string): void {
    const { models, table, hive, log } = this.#context;
    for (const model of models.values()) {
      // A model with so many workers per hive has no stand-ins.
      if (model.perHive !== null) continue;
      const counted = table
        .ofModel(model.id)
        .filter(({ row }) => row.wanted && row.record.state !== "failed" && hive(row.record.hive_id)?.isReplaced !== true)
        .map(({ row }) => ({ workerId: row.record.worker_id, hiveId: row.record.hive_id, decidedAt: row.decidedAt }));
      const ending = planStandInsEnd(counted, hiveId, since, model.workersMax);
      if (ending.length > 0) log.info("a hive is back: who stood in for it ends", { hive_id: hiveId, worker_ids: ending });
      for (const workerId of ending) void this.#drain(workerId, "stand_in_ended");
    }
  }
}
