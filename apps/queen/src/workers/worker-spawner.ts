import { isDeepStrictEqual } from "node:util";
import { ERROR_KINDS, newWorkerId, QhError, type WorkerRecord } from "@queen-and-hive/protocol";
import type { ModelSettings } from "../config/settings.ts";
import type { MissingMemory } from "../domain/eviction.ts";
import { placeWorker } from "../domain/placement.ts";
import type { WorkerRow } from "../store/store.ts";
import { type FleetContext, isOnItsWay } from "./fleet-context.ts";
import { missingMemoryOf } from "./missing-memory.ts";
import { causeOfRefusal, type ModelFailures } from "./model-failures.ts";

/** How long a spawn call that nobody answered waits before it is repeated, milliseconds. */
const REPEAT_CALL_MS = 1_000;

/** Where a worker is to be started. */
export interface StartWish {
  /** On this hive and no other. */
  readonly onHive?: string;
  /** On none of these. */
  readonly except?: ReadonlySet<string>;
}

/** What the spawner tells and asks. */
export interface SpawnListener {
  /** A start has failed for good; a kept minimum can be tried again later. */
  readonly onRefused: (modelId: string, retryInMs: number) => void;
  /** A hive had no room for a worker of a model. */
  readonly onNoRoom: (modelId: string, hiveId: string, missing: MissingMemory | null) => void;
  /** A hive has taken a worker of a model. */
  readonly onTaken: (modelId: string) => void;
  /** Memory that is free on a hive's devices, the freest first; null when it is not known. */
  readonly freeBytes: (hiveId: string) => readonly number[] | null;
}

/** Starts and stops workers: recorded first, then asked of the hive. Once disposed it repeats no start that nobody answered. */
export class WorkerSpawner implements Disposable {
  readonly #context: FleetContext;
  readonly #failures: ModelFailures;
  readonly #listener: SpawnListener;
  readonly #repeats = new Set<Disposable>();
  /** Workers whose stop a hive has not answered yet. */
  readonly #stopping = new Set<string>();

  constructor(context: FleetContext, failures: ModelFailures, listener: SpawnListener) {
    this.#context = context;
    this.#failures = failures;
    this.#listener = listener;
  }

  [Symbol.dispose](): void {
    for (const repeat of this.#repeats) repeat[Symbol.dispose]();
    this.#repeats.clear();
  }

  /** Decides on one more worker of a model; false when no hive can take it now. Throws `storage_failed`. */
  start(model: ModelSettings, wish: StartWish = {}): boolean {
    const { table, clock } = this.#context;
    const hiveId = this.#place(model, wish);
    if (hiveId === null || this.#context.stopping()) return false;
    const now = new Date(clock.nowMs()).toISOString();
    const record: WorkerRecord = {
      worker_id: newWorkerId(),
      incarnation: 1,
      hive_id: hiveId,
      queen_id: this.#context.queen().queen_id,
      model: model.id,
      runtime: model.spec.runtime.name,
      state: "starting",
      pid: null,
      start_time: null,
      boot_id: null,
      port: null,
      url: null,
      slots: null,
      in_flight: null,
      restarts: 0,
      since: now,
      spawned_at: null,
      ready_at: null,
      progress: null,
    };
    const row: WorkerRow = { record, spec: model.spec, wanted: true, exitedIncarnation: 0, last: null, decidedAt: now };
    table.add(row, { actor: "queen" });
    this.call(record.worker_id);
    return true;
  }

  /** Asks the hive for a recorded worker; repeating it is safe, since spawning is idempotent by id and spec. */
  call(workerId: string): void {
    const { table, log } = this.#context;
    const entry = table.get(workerId);
    const spec = entry?.row.spec ?? null;
    const hive = entry === null ? null : this.#context.hive(entry.row.record.hive_id);
    const calls = hive?.calls ?? null;
    if (entry === null || spec === null || hive === null || calls === null || entry.spawning) return;
    table.setSpawning(workerId, true);
    calls
      .spawn({ worker_id: workerId, ...hive.queen(), spec })
      .then(
        (record) => this.#answered(workerId, record),
        (error: unknown) => this.#failed(workerId, error),
      )
      .catch((error: unknown) => log.error("cannot record the answer to a spawn call", { error, worker_id: workerId }));
  }

  /** Whether the answer to a stop call is waited for: it says what became of the worker. */
  isStopping(workerId: string): boolean {
    return this.#stopping.has(workerId);
  }

  /**
   * Stops a worker: recorded as unwanted first, so that it is stopped wherever and whenever it shows up. Stopping goes on when
   * it cannot be recorded. Never throws.
   */
  async stop(workerId: string, cause: string): Promise<void> {
    const { table, log } = this.#context;
    const entry = table.get(workerId);
    if (entry === null) return;
    const unwanted = { wanted: false, record: { state: "stopping" } } as const;
    const isNews = entry.row.wanted || entry.row.record.state === "draining";
    if (isNews) this.#recordOrAlarm(workerId, () => table.change(workerId, unwanted, { actor: "queen", cause }));
    const calls = this.#context.hive(entry.row.record.hive_id)?.calls ?? null;
    if (calls === null) return;
    this.#stopping.add(workerId);
    try {
      await calls.stopWorker(workerId);
    } catch (error) {
      if (!(error instanceof QhError) || error.kind !== "worker_not_found") {
        log.warn("cannot stop a worker yet; it is tried again when its hive is reconciled", { error, worker_id: workerId });
        return;
      }
    } finally {
      this.#stopping.delete(workerId);
    }
    this.#recordOrAlarm(workerId, () => table.remove(workerId, { actor: "queen", cause }));
  }

  #recordOrAlarm(workerId: string, record: () => void): void {
    try {
      record();
    } catch (error) {
      this.#context.log.error("cannot record that a worker is stopped; stopping goes on", { error, worker_id: workerId });
    }
  }

  #place(model: ModelSettings, { onHive, except }: StartWish): string | null {
    const { hives, hive, table } = this.#context;
    if (onHive !== undefined) return hive(onHive)?.usable === true ? onHive : null;
    const { devices = 1, memory_bytes: memory } = model.spec.needs ?? {};
    const open = hives().filter(({ hiveId }) => except?.has(hiveId) !== true);
    const loads = open.map((hive) => {
      const workers = table.ofHive(hive.hiveId);
      const workersOfModel = workers.filter(({ row }) => row.record.model === model.id).length;
      return { ...hive, workers: workers.length, workersOfModel, freeBytes: this.#listener.freeBytes(hive.hiveId) };
    });
    return placeWorker(model.place, loads, { devices, memoryBytes: typeof memory === "number" ? memory : null });
  }

  #answered(workerId: string, record: WorkerRecord): void {
    const { table } = this.#context;
    table.setSpawning(workerId, false);
    const entry = table.get(workerId);
    if (entry === null) return;
    this.#listener.onTaken(entry.row.record.model);
    if (!entry.row.wanted) {
      void this.stop(workerId, "unwanted");
      return;
    }
    // The ready callback may have come before this answer: what it said stays.
    const known = entry.row.record;
    if (known.state !== "starting" || record.incarnation < known.incarnation) {
      const facts = {
        boot_id: known.boot_id ?? record.boot_id,
        port: known.port ?? record.port,
        start_time: known.start_time ?? record.start_time,
      };
      const isSame = isDeepStrictEqual(facts, { boot_id: known.boot_id, port: known.port, start_time: known.start_time });
      if (!isSame && record.incarnation === known.incarnation) table.change(workerId, { record: facts }, { actor: "queen" });
      return;
    }
    // A worker that a repeated call found ready is still made ready by its callback only.
    const state = record.state === "ready" ? "loading" : record.state;
    table.change(workerId, { record: { ...record, state, hive_id: known.hive_id, in_flight: null } }, { actor: "queen" });
    if (record.state === "ready") table.noteSaidReady(workerId);
  }

  #failed(workerId: string, error: unknown): void {
    const { table, log, clock } = this.#context;
    table.setSpawning(workerId, false);
    const entry = table.get(workerId);
    if (entry === null) return;
    const { record } = entry.row;
    log.warn("cannot start a worker", { error, worker_id: workerId, hive_id: record.hive_id, model: record.model });
    if (isSettledRefusal(error)) {
      const isForRoom = error.kind === "insufficient_memory";
      const cause = isForRoom ? error.kind : causeOfRefusal(error);
      // Before anybody hears of the worker's end and asks for another one.
      if (isForRoom) this.#listener.onNoRoom(record.model, record.hive_id, missingMemoryOf(error));
      table.remove(workerId, {
        actor: "queen",
        cause,
        events: [
          {
            kind: "worker.refused",
            actor: `hive:${record.hive_id}`,
            hive_id: record.hive_id,
            worker_id: workerId,
            cause,
            details: { kind: error.kind, message: error.message, model: record.model },
          },
        ],
      });
      if (!isForRoom) this.#listener.onRefused(record.model, this.#failures.note(record.model, causeOfRefusal(error)));
      return;
    }
    // Nobody answered, so the hive may have the worker or not: asking again is safe, and so is the next reconciliation.
    if (this.#context.stopping()) return;
    const repeat = clock.after(REPEAT_CALL_MS, () => {
      this.#repeats.delete(repeat);
      const now = table.get(workerId);
      if (now?.row.wanted && isOnItsWay(now.row.record) && now.row.record.pid === null) this.call(workerId);
    });
    this.#repeats.add(repeat);
  }
}

/** Whether the hive itself said no, as opposed to an answer that never came. */
function isSettledRefusal(error: unknown): error is QhError {
  if (!(error instanceof QhError)) return false;
  if (UNANSWERED.has(error.kind)) return false;
  return ERROR_KINDS[error.kind].status !== 401;
}

const UNANSWERED: ReadonlySet<QhError["kind"]> = new Set([
  "peer_unreachable",
  "peer_nonsense",
  "deadline_exceeded",
  "client_closed",
  "shutting_down",
  "internal",
  "storage_failed",
  "stale_epoch",
]);
