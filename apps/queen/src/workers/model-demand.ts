import { QhError } from "@queen-and-hive/protocol";
import type { ModelSettings } from "../config/settings.ts";
import { mayRunOn } from "../domain/placement.ts";
import { countedWorkers } from "./counted-workers.ts";
import { type FleetContext, isOnItsWay } from "./fleet-context.ts";
import type { ModelFailures } from "./model-failures.ts";
import type { RoomMaker } from "./room-maker.ts";
import type { ModelFailure } from "./worker-directory.ts";
import type { WorkerSpawner } from "./worker-spawner.ts";
import type { WorkerEntry } from "./worker-table.ts";

/** Decides how many workers a model needs: its minimum always, one when somebody waits, more while all slots are busy. */
export class ModelDemand {
  readonly #context: FleetContext;
  readonly #failures: ModelFailures;
  readonly #spawner: WorkerSpawner;
  readonly #room: RoomMaker;
  /** Models that somebody waits for although no hive can take them yet. */
  readonly #waitedFor = new Set<string>();
  readonly #retries = new Map<string, Disposable>();

  constructor(context: FleetContext, failures: ModelFailures, spawner: WorkerSpawner, room: RoomMaker) {
    this.#context = context;
    this.#failures = failures;
    this.#spawner = spawner;
    this.#room = room;
  }

  /** Somebody waits for a model. Starts a worker when none is ready or on its way, or when all that are ready are full. */
  want(modelId: string): void {
    const model = this.#context.models.get(modelId);
    if (model === undefined || this.#context.stopping()) return;
    const living = this.#living(modelId);
    if (living.some((entry) => this.#isComing(entry))) return;
    const serving = living.filter((entry) => this.#isServing(entry));
    const hasRoom = serving.some((entry) => this.#context.inFlight(entry.row.record.worker_id) < (entry.ready?.slots ?? 0));
    if (hasRoom || living.length >= model.workersMax || !this.#failures.mayRetry(modelId)) return;
    this.#replaceFailed(modelId);
    if (this.#tryStart(model)) this.#waitedFor.delete(modelId);
    else this.#waitedFor.add(modelId);
  }

  /** Brings every model to its minimum, and serves those that somebody waits for. Called whenever hives or workers change. */
  ensure(): void {
    if (this.#context.stopping()) return;
    for (const model of this.#context.models.values()) this.#ensureMinimum(model);
    for (const modelId of [...this.#waitedFor]) this.want(modelId);
  }

  /** Tries again after a while to have what a model needs; a later call replaces an earlier one. */
  retryLater(modelId: string, inMs: number): void {
    this.#retries.get(modelId)?.[Symbol.dispose]();
    const timer = this.#context.clock.after(inMs, () => {
      this.#retries.delete(modelId);
      const model = this.#context.models.get(modelId);
      if (model === undefined || this.#context.stopping()) return;
      this.#ensureMinimum(model);
      if (this.#waitedFor.has(modelId)) this.want(modelId);
    });
    this.#retries.set(modelId, timer);
  }

  /** Why a model cannot be had now, or null while there is hope. */
  failure(modelId: string): ModelFailure | null {
    const model = this.#context.models.get(modelId);
    const living = this.#living(modelId);
    if (model === undefined || living.some((entry) => this.#isServing(entry) || this.#isComing(entry))) return null;
    const failure = this.#failures.get(modelId);
    if (failure !== null && !this.#failures.mayRetry(modelId)) return failure;
    const eligible = this.#context.hives().filter((hive) => mayRunOn(model.place, hive));
    if (eligible.some((hive) => hive.usable || hive.hopeful)) return null;
    return {
      cause: "no_hive_available",
      message: `cannot serve the model ${JSON.stringify(modelId)}: no hive that may run it is available`,
      retryAfterS: NO_HIVE_RETRY_S,
    };
  }

  /** How many workers of a model are on their way to ready. */
  starting(modelId: string): number {
    return this.#living(modelId).filter((entry) => this.#isComing(entry)).length;
  }

  /** How many more workers of a model may exist. */
  room(modelId: string): number {
    const model = this.#context.models.get(modelId);
    return model === undefined ? 0 : Math.max(0, model.workersMax - this.#living(modelId).length);
  }

  close(): void {
    for (const timer of this.#retries.values()) timer[Symbol.dispose]();
    this.#retries.clear();
  }

  #ensureMinimum(model: ModelSettings): void {
    if (!this.#failures.mayRetry(model.id)) {
      const waitS = this.#failures.get(model.id)?.retryAfterS ?? 0;
      if (!this.#retries.has(model.id)) this.retryLater(model.id, waitS * 1_000);
      return;
    }
    if (model.perHive !== null) {
      for (const hive of this.#context.hives()) {
        if (!hive.usable || !mayRunOn(model.place, hive)) continue;
        for (let count = this.#kept(model.id, hive.hiveId); count < model.perHive; count += 1) this.#tryStart(model, hive.hiveId);
      }
      return;
    }
    for (let missing = model.workersMin - this.#kept(model.id); missing > 0; missing -= 1) if (!this.#tryStart(model)) return;
  }

  #tryStart(model: ModelSettings, onHive?: string): boolean {
    const closed = this.#room.closedTo(model);
    if (closed === null) return true;
    if (onHive !== undefined && closed.has(onHive)) return false;
    try {
      if (this.#spawner.start(model, onHive === undefined ? { except: closed } : { onHive })) return true;
      if (closed.size > 0 && !this.#living(model.id).some((entry) => this.#isServing(entry)))
        this.#room.standInLine(model, closed);
      return false;
    } catch (error) {
      if (!(error instanceof QhError)) throw error;
      this.#context.log.error("cannot record a worker, so it is not started", { error, model: model.id });
      this.retryLater(model.id, this.#failures.note(model.id, "unknown"));
      return false;
    }
  }

  /** A worker that failed for good makes place for a new attempt when somebody asks. */
  #replaceFailed(modelId: string): void {
    for (const { row } of this.#context.table.ofModel(modelId)) {
      if (row.wanted && row.record.state === "failed") void this.#spawner.stop(row.record.worker_id, "replaced");
    }
  }

  /** Wanted workers of a model that have not failed for good. */
  #living(modelId: string): readonly WorkerEntry[] {
    return countedWorkers(this.#context, modelId).filter(({ row }) => row.record.state !== "failed");
  }

  /** Workers that count for the minimum: also failed ones, which their hive quietly tries again. */
  #kept(modelId: string, hiveId?: string): number {
    const counted = countedWorkers(this.#context, modelId);
    return counted.filter(({ row }) => hiveId === undefined || row.record.hive_id === hiveId).length;
  }

  #isServing(entry: WorkerEntry): boolean {
    return entry.ready !== null && entry.row.wanted && (this.#context.hive(entry.row.record.hive_id)?.usable ?? false);
  }

  /** On its way, or ready on a hive that is expected back: both will serve without another start. */
  #isComing(entry: WorkerEntry): boolean {
    const { record, wanted } = entry.row;
    const hive = this.#context.hive(record.hive_id);
    if (!wanted || hive === null || !hive.hopeful) return false;
    return isOnItsWay(record) || (record.state === "ready" && !this.#isServing(entry));
  }
}

/** What clients are told to wait while no hive is there, seconds. */
const NO_HIVE_RETRY_S = 10;
