import { QhError } from "@queen-and-hive/protocol";
import type { FleetContext } from "./fleet-context.ts";

interface Drain {
  readonly cause: string;
  readonly over: PromiseWithResolvers<void>;
  readonly limit: Disposable | null;
}

/**
 * Takes workers out of use: they get no new request from the moment that it is decided, and are stopped once what they serve
 * has ended or `drain` is over. There is no way back: what was decided is what the queen's list and the hive's say.
 */
export class WorkerDrains implements Disposable {
  readonly #context: FleetContext;
  readonly #stop: (workerId: string, cause: string) => Promise<void>;
  readonly #drains = new Map<string, Drain>();

  constructor(context: FleetContext, stop: (workerId: string, cause: string) => Promise<void>) {
    this.#context = context;
    this.#stop = stop;
  }

  /** Whether a worker only finishes what it has. */
  has(workerId: string): boolean {
    return this.#drains.has(workerId);
  }

  /** Drains a worker and stops it, at once when it serves nothing; resolves when it was stopped. A second call joins the first. */
  begin(workerId: string, cause: string): Promise<void> {
    const known = this.#drains.get(workerId);
    if (known !== undefined) return known.over.promise;
    const { table, inFlight, clock, drainMs, log } = this.#context;
    const entry = table.get(workerId);
    if (entry === null || entry.ready === null || inFlight(workerId) === 0) return this.#stop(workerId, cause);
    const limit = Number.isFinite(drainMs) ? clock.after(drainMs, () => this.#cancel(workerId)) : null;
    const drain: Drain = { cause, limit, over: Promise.withResolvers() };
    this.#drains.set(workerId, drain);
    try {
      table.change(workerId, { wanted: false, record: { state: "draining" } }, { actor: "queen", cause });
    } catch (error) {
      log.error("cannot record that a worker is drained; draining goes on", { error, worker_id: workerId });
    }
    this.tellHive(workerId);
    return drain.over.promise;
  }

  /** Stops those that have nothing to finish any more. */
  look(): void {
    for (const workerId of this.#drains.keys()) {
      const isServing = this.#context.table.get(workerId) !== null && this.#context.inFlight(workerId) > 0;
      if (!isServing) this.#end(workerId);
    }
  }

  /** Has the hive of a worker show it as draining, again when it has come back. */
  tellHive(workerId: string): void {
    const { table, hive, log } = this.#context;
    const calls = hive(table.get(workerId)?.row.record.hive_id ?? "")?.calls ?? null;
    calls?.drainWorker(workerId).catch((error: unknown) =>
      // Nothing new is sent there by us anyway.
      log.warn("cannot tell a hive that a worker is drained", { error, worker_id: workerId }),
    );
  }

  [Symbol.dispose](): void {
    for (const { limit } of this.#drains.values()) limit?.[Symbol.dispose]();
  }

  /** Its time is over: what it still serves is cancelled, which ends the drain. */
  #cancel(workerId: string): void {
    this.#context.log.warn("a worker had requests until its drain was over; they are cancelled", { worker_id: workerId });
    const message = "cannot finish this request: its worker is being stopped and had no more time to finish; send it again";
    this.#context.table.abandon(workerId, new QhError("engine_failed", message));
    this.#end(workerId);
  }

  #end(workerId: string): void {
    const drain = this.#drains.get(workerId);
    if (drain === undefined) return;
    this.#drains.delete(workerId);
    drain.limit?.[Symbol.dispose]();
    void this.#stop(workerId, drain.cause).then(drain.over.resolve, drain.over.reject);
  }
}
