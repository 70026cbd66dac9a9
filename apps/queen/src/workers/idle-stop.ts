import type { ModelSettings } from "../config/settings.ts";
import { planIdleStop } from "../domain/eviction.ts";
import type { FleetContext } from "./fleet-context.ts";
import type { WorkerEntry } from "./worker-table.ts";
import { usageOf } from "./worker-usage.ts";

/** Stops workers that nobody has used for `idle_stop`, down to what their model always has. */
export class IdleStop implements Disposable {
  readonly #context: FleetContext;
  readonly #stop: (workerId: string, cause: string) => Promise<void>;
  readonly #timers = new Map<string, Disposable>();

  constructor(context: FleetContext, stop: (workerId: string, cause: string) => Promise<void>) {
    this.#context = context;
    this.#stop = stop;
  }

  /** A worker of a model may have become idle. Cheap: only the first call sets a timer, which then looks by itself. */
  touch(modelId: string): void {
    if (this.#timers.has(modelId)) return;
    const model = this.#context.models.get(modelId);
    if (model !== undefined && Number.isFinite(model.idleStopMs)) this.#arm(model, model.idleStopMs);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
    this.#timers.clear();
  }

  #arm(model: ModelSettings, inMs: number): void {
    this.#timers.set(
      model.id,
      this.#context.clock.after(inMs, () => this.#look(model)),
    );
  }

  #look(model: ModelSettings): void {
    this.#timers.delete(model.id);
    if (this.#context.stopping()) return;
    const ready = this.#context.table.ofModel(model.id).filter((entry) => entry.ready !== null && entry.row.wanted);
    let nextInMs = Number.POSITIVE_INFINITY;
    for (const group of model.perHive === null ? [ready] : byHive(ready)) {
      const workers = group.map((entry) => usageOf(this.#context, entry));
      const plan = planIdleStop(workers, model.idleStopMs, model.perHive ?? model.workersMin);
      for (const workerId of plan.stop) void this.#stop(workerId, "idle");
      nextInMs = Math.min(nextInMs, plan.nextInMs);
    }
    // A busy worker says itself when it is idle.
    if (Number.isFinite(nextInMs)) this.#arm(model, nextInMs);
  }
}

function byHive(entries: readonly WorkerEntry[]): readonly (readonly WorkerEntry[])[] {
  return [...Map.groupBy(entries, (entry) => entry.row.record.hive_id).values()];
}
