import { isDeepStrictEqual } from "node:util";
import type { HiveEvent, WorkerRecord } from "@queen-and-hive/protocol";
import { planReconciliation } from "../domain/reconciliation.ts";
import { type FleetContext, hasEnded } from "./fleet-context.ts";
import type { ModelDemand } from "./model-demand.ts";
import type { WorkerDrains } from "./worker-drains.ts";
import type { WorkerSpawner } from "./worker-spawner.ts";
import type { WorkerEntry } from "./worker-table.ts";

type Snapshot = Extract<HiveEvent, { type: "snapshot" }>;
type Step = Extract<HiveEvent, { type: "step" }>;
type Telemetry = Extract<HiveEvent, { type: "telemetry" }>;

/** What hives' event streams tell of workers: a snapshot at each connection, then changes and measurements. */
export class WorkerNews {
  readonly #context: FleetContext;
  readonly #spawner: WorkerSpawner;
  readonly #drains: WorkerDrains;
  readonly #demand: ModelDemand;

  constructor(context: FleetContext, spawner: WorkerSpawner, drains: WorkerDrains, demand: ModelDemand) {
    this.#context = context;
    this.#spawner = spawner;
    this.#drains = drains;
    this.#demand = demand;
  }

  /** Makes registry and hive agree: wanted workers kept, unwanted stopped with proof, missing forgotten, unknown ones adopted. */
  onSnapshot(hiveId: string, snapshot: Snapshot): void {
    const { table, log } = this.#context;
    const queenId = this.#context.queen().queen_id;
    const records = new Map(snapshot.workers.map((record) => [record.worker_id, record]));
    const plan = planReconciliation(
      table.ofHive(hiveId).map(({ row, spawning }) => ({
        workerId: row.record.worker_id,
        model: row.record.model,
        wanted: row.wanted,
        spawning,
      })),
      snapshot.workers.map((record) => ({
        workerId: record.worker_id,
        model: record.model,
        ours: record.queen_id === queenId,
        ending: record.state === "stopping" || record.state === "stopped",
        draining: record.state === "draining",
      })),
      (model) => this.#demand.room(model),
    );
    // What cannot be recorded of one worker, on a full disk, keeps no other from serving.
    const failures: unknown[] = [];
    const each = (workerIds: readonly string[], take: (workerId: string) => void): void => {
      for (const workerId of workerIds) {
        try {
          take(workerId);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    each(plan.keep, (workerId) => this.#takeOver(workerId, records.get(workerId)));
    each(plan.adopt, (workerId) => this.#adopt(hiveId, records.get(workerId)));
    each(plan.stop, (workerId) => {
      const record = records.get(workerId);
      if (table.get(workerId) === null && record !== undefined) this.#register(hiveId, record, false);
      if (this.#drains.has(workerId)) this.#drains.tellHive(workerId);
      else void this.#spawner.stop(workerId, "unwanted");
    });
    each(plan.forget, (workerId) => table.remove(workerId, { actor: "queen", cause: "missing" }));
    log.info("a hive was reconciled", {
      hive_id: hiveId,
      kept: plan.keep.length,
      adopted: plan.adopt.length,
      stopped: plan.stop.length,
      missing: plan.forget.length,
      not_recorded: failures.length,
    });
    if (failures.length > 0) throw failures[0];
  }

  /** One worker's transition as its hive tells it. Readiness is left to the callback. */
  onChange(hiveId: string, record: WorkerRecord): void {
    const { table } = this.#context;
    const entry = table.get(record.worker_id);
    if (entry === null || entry.row.record.hive_id !== hiveId || isOld(entry, record)) return;
    const known = entry.row.record;
    if (record.state === "stopped") {
      // The answer to our own stop call removes what we stop; anything else that left the hive's list is gone for us too, also
      // what could not be ended when we called, and has ended since.
      if (this.#spawner.isStopping(record.worker_id)) return;
      table.remove(record.worker_id, { actor: `hive:${hiveId}`, cause: record.exit?.cause ?? "stopped" });
      this.#demand.ensure();
      return;
    }
    const becameReady = record.state === "ready" && !(known.state === "ready" && known.incarnation === record.incarnation);
    this.#apply(entry, becameReady ? { ...record, state: "loading" } : record, `hive:${hiveId}`);
    if (becameReady) table.noteSaidReady(record.worker_id);
  }

  /** A step of a stop, for the journal. */
  onStep(hiveId: string, { worker_id, type: _type, time: _time, ...details }: Step): void {
    const { table, log } = this.#context;
    try {
      table.journal([{ kind: "worker.step", actor: `hive:${hiveId}`, hive_id: hiveId, worker_id, details }]);
    } catch (error) {
      // Stops go on when the disk is full; that one ended is recorded or refused by itself.
      log.error("cannot record a step of a stop", { error, hive_id: hiveId, worker_id });
    }
  }

  /** CPU and memory of workers, for the lists. */
  onTelemetry(telemetry: Telemetry): void {
    for (const { worker_id, cpu_ratio, resident_bytes } of telemetry.workers) {
      this.#context.table.observe(worker_id, { cpu_ratio, resident_bytes });
    }
  }

  /**
   * The safety net: asks about workers whose hive said `ready` longer than `afterMs` ago although no callback came. Every
   * request counts in `queen_ready_fallback_polls_total`.
   */
  async pollOverdue(afterMs: number): Promise<void> {
    const { table, clock, metrics, log } = this.#context;
    for (const entry of table.all()) {
      if (entry.saidReadyAtMs === null || clock.monotonicMs() - entry.saidReadyAtMs < afterMs) continue;
      const { worker_id, hive_id } = entry.row.record;
      const calls = this.#context.hive(hive_id)?.calls ?? null;
      if (calls === null) continue;
      metrics.fallbackPolls.inc();
      try {
        this.#takeOver(worker_id, await calls.getWorker(worker_id));
      } catch (error) {
        log.warn("cannot ask about a worker whose ready callback is overdue", { error, worker_id, hive_id });
      }
    }
  }

  #takeOver(workerId: string, record: WorkerRecord | undefined): void {
    const entry = this.#context.table.get(workerId);
    if (entry === null || record === undefined || isOld(entry, record)) return;
    this.#apply(entry, record, "queen");
  }

  #adopt(hiveId: string, record: WorkerRecord | undefined): void {
    if (record !== undefined) this.#register(hiveId, record, true);
  }

  #register(hiveId: string, record: WorkerRecord, wanted: boolean): void {
    const decidedAt = new Date(this.#context.clock.nowMs()).toISOString();
    this.#context.table.add(
      {
        record: { ...record, hive_id: hiveId, in_flight: null },
        spec: null,
        wanted,
        exitedIncarnation: record.incarnation - 1,
        last: null,
        decidedAt,
      },
      { actor: "queen", cause: wanted ? "adopted" : "unwanted" },
    );
  }

  #apply(entry: WorkerEntry, record: WorkerRecord, actor: string): void {
    const { table } = this.#context;
    const known = entry.row.record;
    // A worker that is being stopped stays so, whatever its hive said before it heard of it.
    const state = entry.row.wanted ? record.state : known.state;
    const { progress, cpu_ratio: _ratio, resident_bytes: _bytes, in_flight: _flight, since: _since, ...facts } = record;
    const next = { ...known, ...facts, state, hive_id: known.hive_id };
    if (isDeepStrictEqual(next, known)) {
      table.observe(record.worker_id, { progress });
      table.confirm(record.worker_id);
      return;
    }
    table.change(
      record.worker_id,
      { record: { ...facts, state, progress, hive_id: known.hive_id } },
      {
        actor,
        ...(record.exit === undefined || !hasEnded(record) ? {} : { cause: record.exit.cause }),
      },
    );
  }
}

/** Whether news about a worker are older than what callbacks have said already. */
function isOld({ row }: WorkerEntry, record: WorkerRecord): boolean {
  // Nothing has come by callback: the stream, which is in order, is all that there is.
  if (row.last === null) return false;
  const known = row.record;
  if (record.incarnation < known.incarnation) return true;
  const alive = record.pid !== null;
  if (alive && record.incarnation <= row.exitedIncarnation) return true;
  // The exit message has said already what comes after the crash.
  if (record.state === "crashed" && record.incarnation <= row.exitedIncarnation) return true;
  const isEarlyState = record.state === "starting" || record.state === "loading";
  return known.state === "ready" && record.incarnation === known.incarnation && isEarlyState;
}
