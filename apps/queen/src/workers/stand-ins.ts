import { planStandInsEnd } from "../domain/stand-ins.ts";
import { countedWorkers } from "./counted-workers.ts";
import type { FleetContext, FleetHive } from "./fleet-context.ts";

/** Workers that stood in for those of a hive which is back are drained and stopped, once what it brings back serves. */
export class StandIns {
  readonly #context: FleetContext;
  readonly #drain: (workerId: string, cause: string) => Promise<void>;
  /** Hive that is back -> those of its workers for which nobody stands in any more. */
  readonly #settled = new Map<string, Set<string>>();
  #isLooking = false;

  constructor(context: FleetContext, drain: (workerId: string, cause: string) => Promise<void>) {
    this.#context = context;
    this.#drain = drain;
  }

  /** A hive or a worker has changed. The snapshot of a hive that is back has been applied. */
  look(): void {
    // What is ended here changes workers, too.
    if (this.#isLooking || this.#context.stopping()) return;
    this.#isLooking = true;
    try {
      for (const hive of this.#context.hives()) {
        if (hive.isReplaced) this.#settled.delete(hive.hiveId);
        else if (hive.usable && hive.replacedSince !== null) this.#lookAt(hive, hive.replacedSince);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  #lookAt(hive: FleetHive, lostSince: string): void {
    const { hiveId } = hive;
    const settled = this.#settled.get(hiveId) ?? new Set();
    this.#settled.set(hiveId, settled);
    let isOver = true;
    for (const model of this.#context.models.values()) {
      // A model with so many workers per hive has no stand-ins.
      if (model.perHive !== null) continue;
      const counted = countedWorkers(this.#context, model.id)
        .filter(({ row }) => row.record.state !== "failed")
        .map(({ row, ready }) => ({
          workerId: row.record.worker_id,
          hiveId: row.record.hive_id,
          decidedAt: row.decidedAt,
          isReady: ready !== null,
        }));
      const plan = planStandInsEnd(counted, { hiveId, lostSince, settled }, model.workersMax);
      for (const workerId of plan.settled) settled.add(workerId);
      isOver &&= plan.isOver;
      this.#end(hiveId, plan.ending);
    }
    if (!isOver) return;
    this.#settled.delete(hiveId);
    hive.standInsEnded();
  }

  #end(hiveId: string, workerIds: readonly string[]): void {
    if (workerIds.length === 0) return;
    this.#context.log.info("a hive is back: who stood in for it ends", { hive_id: hiveId, worker_ids: workerIds });
    for (const workerId of workerIds) void this.#drain(workerId, "stand_in_ended");
  }
}
