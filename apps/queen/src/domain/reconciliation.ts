/** A worker as the registry has it. */
export interface RegisteredWorker {
  readonly workerId: string;
  readonly model: string;
  /** False once it was decided that it has to end. */
  readonly wanted: boolean;
  /** True while the spawn call for it has not been answered: its absence from a snapshot says nothing yet. */
  readonly spawning: boolean;
}

/** A worker as a hive's snapshot has it. */
export interface PresentWorker {
  readonly workerId: string;
  readonly model: string;
  readonly ours: boolean;
  /** True when it is on its way out already. */
  readonly ending: boolean;
  /** True when it only finishes what it has: nobody can use it any more. */
  readonly draining: boolean;
}

/** What makes registry and hive agree again. */
export interface ReconciliationPlan {
  /** In both and wanted: the snapshot's facts are taken over. */
  readonly keep: readonly string[];
  /** Ours, present, and not wanted: stopped with proof. */
  readonly stop: readonly string[];
  /** Registered, but the hive has no such worker: forgotten, and replaced where the model needs it. */
  readonly forget: readonly string[];
  /** Ours, present and unknown to the registry (which was lost): registered again. */
  readonly adopt: readonly string[];
}

/**
 * Compares a hive's snapshot with the registry. Wanted workers are kept, unwanted ones stopped, missing ones forgotten (the
 * caller starts what is needed), and unknown ones of ours adopted while `room(model)` says that the model has room for one
 * more worker. Workers of another queen are left alone.
 */
export function planReconciliation(
  registered: readonly RegisteredWorker[],
  present: readonly PresentWorker[],
  room: (model: string) => number,
): ReconciliationPlan {
  const presentIds = new Set(present.map((worker) => worker.workerId));
  const byId = new Map(registered.map((worker) => [worker.workerId, worker]));
  const keep: string[] = [];
  const stop: string[] = [];
  const adopt: string[] = [];
  const adoptedPerModel = new Map<string, number>();
  for (const worker of present) {
    if (!worker.ours) continue;
    const known = byId.get(worker.workerId);
    if (known !== undefined) {
      (known.wanted ? keep : stop).push(worker.workerId);
      continue;
    }
    if (worker.ending) continue;
    const adopted = adoptedPerModel.get(worker.model) ?? 0;
    if (!worker.draining && adopted < room(worker.model)) {
      adoptedPerModel.set(worker.model, adopted + 1);
      adopt.push(worker.workerId);
    } else {
      stop.push(worker.workerId);
    }
  }
  const forget = registered
    .filter((worker) => !worker.spawning && !presentIds.has(worker.workerId))
    .map((worker) => worker.workerId);
  return { keep, stop, forget, adopt };
}
