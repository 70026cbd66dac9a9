import type { Clock, Log, Metrics } from "@queen-and-hive/daemon";
import {
  type CallbackAnswer,
  type HiveEvent,
  type ModelRecord,
  QhError,
  type QueenAddress,
  type WorkerExited,
  type WorkerReady,
  type WorkerRecord,
} from "@queen-and-hive/protocol";
import type { HealthSettings, ModelSettings, RestartSettings } from "../config/settings.ts";
import type { EvictionRules } from "../domain/eviction.ts";
import type { Store } from "../store/store.ts";
import { disownChanged } from "./disown-changed.ts";
import type { FleetContext, FleetHive } from "./fleet-context.ts";
import { createFleetMetrics } from "./fleet-metrics.ts";
import { HiveMemory } from "./hive-memory.ts";
import { IdleStop } from "./idle-stop.ts";
import { ModelDemand } from "./model-demand.ts";
import { ModelFailures } from "./model-failures.ts";
import { newlyFailed } from "./newly-failed.ts";
import { readyWorkers } from "./ready-workers.ts";
import { RoomMaker } from "./room-maker.ts";
import { StandIns } from "./stand-ins.ts";
import { acceptExited, acceptReady } from "./worker-callbacks.ts";
import type { ReadyWorker, WorkerDirectory } from "./worker-directory.ts";
import { WorkerDrains } from "./worker-drains.ts";
import { WorkerNews } from "./worker-news.ts";
import { slotsOf } from "./worker-slots.ts";
import { WorkerSpawner } from "./worker-spawner.ts";
import { WorkerTable } from "./worker-table.ts";
import { WorkerTraffic } from "./worker-traffic.ts";

/** What the fleet needs to know. */
export interface WorkerFleetOptions {
  readonly store: Store;
  readonly models: readonly ModelSettings[];
  readonly health: HealthSettings;
  readonly restart: RestartSettings;
  readonly hives: () => readonly FleetHive[];
  readonly hive: (hiveId: string) => FleetHive | null;
  readonly queen: () => QueenAddress;
  /** Requests that a worker serves now. */
  readonly inFlight: (workerId: string) => number;
  /** When a worker gave back its last request, monotonic milliseconds; null when it has served none. */
  readonly lastUsedMs: (workerId: string) => number | null;
  /** Requests that wait for a model. */
  readonly waiting: (modelId: string) => number;
  readonly eviction: EvictionRules;
  /** How long a worker that is stopped may finish what it serves. */
  readonly drainMs: number;
  /** Real traffic could not reach a hive's workers again and again. */
  readonly onTrafficTrouble: (hiveId: string) => void;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** All workers of all hives: the directory that the gateway asks, and where hives' messages and event streams arrive. */
export class WorkerFleet implements Disposable {
  /** What the gateway sees. */
  readonly directory: WorkerDirectory;
  readonly #options: WorkerFleetOptions;
  readonly #context: FleetContext;
  readonly #table: WorkerTable;
  readonly #demand: ModelDemand;
  readonly #spawner: WorkerSpawner;
  readonly #drains: WorkerDrains;
  readonly #news: WorkerNews;
  readonly #failures: ModelFailures;
  readonly #traffic: WorkerTraffic;
  readonly #memory: HiveMemory;
  readonly #room: RoomMaker;
  readonly #idle: IdleStop;
  readonly #standIns: StandIns;
  #timer: Disposable | null = null;
  #stopping = false;

  /** Reads the registry; workers whose model is gone or changed in the configuration are unwanted from now on. */
  constructor(options: WorkerFleetOptions) {
    this.#options = options;
    const models = new Map(options.models.map((model) => [model.id, model]));
    const { store, clock, log, restart, random, hives, hive, queen, inFlight, lastUsedMs, waiting } = options;
    this.#table = new WorkerTable({
      store,
      clock,
      log,
      slotsOf: (model, said) => slotsOf(models.get(model), said),
      wayTo: (hiveId, workerId) => {
        const hive = options.hive(hiveId);
        return { connect: hive?.connect ?? null, key: hive?.workerKey(workerId) ?? null };
      },
    });
    this.#failures = new ModelFailures({ restart, clock, random });
    this.#context = {
      table: this.#table,
      models,
      restart,
      ...{ hives, hive, queen, inFlight, lastUsedMs, waiting },
      eviction: options.eviction,
      drainMs: options.drainMs,
      metrics: createFleetMetrics(options.metrics),
      clock,
      random,
      log,
      stopping: () => this.#stopping,
    };
    this.#memory = new HiveMemory(this.#context);
    this.#spawner = new WorkerSpawner(this.#context, this.#failures, {
      onRefused: (model, waitMs) => this.#demand.retryLater(model, waitMs),
      onNoRoom: (model, hiveId, missing) => this.#room.refused(model, hiveId, missing),
      onTaken: (model) => this.#room.settled(model),
      freeBytes: (hiveId) => this.#memory.of(hiveId),
    });
    this.#drains = new WorkerDrains(this.#context, (workerId, cause) => this.#spawner.stop(workerId, cause));
    const drain = (workerId: string, cause: string): Promise<void> => this.#drains.begin(workerId, cause);
    this.#room = new RoomMaker(this.#context, {
      start: (model, wish) => this.#spawner.start(model, wish),
      drain,
      isDraining: (workerId) => this.#drains.has(workerId),
      giveUp: (model) => {
        this.#demand.retryLater(model, this.#failures.note(model, "insufficient_memory"));
        this.#table.changes.publish(model);
      },
    });
    this.#idle = new IdleStop(this.#context, drain);
    this.#standIns = new StandIns(this.#context, drain);
    this.#demand = new ModelDemand(this.#context, this.#failures, this.#spawner, this.#room);
    this.#news = new WorkerNews(this.#context, this.#spawner, this.#drains, this.#demand);
    this.#traffic = new WorkerTraffic({
      failuresMax: options.health.failures,
      isOutOfReach: (hiveId) => this.#context.hive(hiveId)?.usable === false,
      onTrouble: options.onTrafficTrouble,
      onTrial: ({ model }) => this.#table.changes.publish(model),
      clock,
    });
    this.directory = this.#createDirectory();
    disownChanged(this.#table, models);
    this.#table.changes.subscribe((model) => this.#lookAtIdle(model));
    this.#table.changes.subscribe(() => this.#standIns.look());
    this.#schedulePoll();
  }

  /** A hive's ready message; see `acceptReady`. */
  acceptReady(hiveId: string, message: WorkerReady): CallbackAnswer {
    return this.#counted("ready", () => {
      const answer = acceptReady(this.#context, hiveId, message);
      const model = this.#table.get(message.worker_id)?.row.record.model;
      if (answer.applied && model !== undefined) this.#failures.forgive(model);
      return answer;
    });
  }

  /** A hive's exit message; see `acceptExited`. */
  acceptExited(hiveId: string, message: WorkerExited): CallbackAnswer {
    return this.#counted("exited", () => {
      const isFailure = !message.will_restart && message.cause !== "stopped";
      const model = isFailure ? newlyFailed(this.#table, message) : null;
      return acceptExited(this.#context, hiveId, message, () => {
        if (model !== null) this.#failures.note(model, message.cause);
      });
    });
  }

  /** One message of a hive's event stream. */
  onHiveEvent(hiveId: string, event: HiveEvent): void {
    if (event.type === "snapshot") this.#news.onSnapshot(hiveId, event);
    else if (event.type === "worker") {
      const { state, exit } = event.worker;
      const model = state === "failed" && exit !== undefined ? newlyFailed(this.#table, event.worker) : null;
      if (model !== null && exit !== undefined) this.#failures.note(model, exit.cause);
      this.#news.onChange(hiveId, event.worker);
    } else if (event.type === "step") this.#news.onStep(hiveId, event);
    else if (event.type === "telemetry") this.#news.onTelemetry(event);
    if (event.type === "snapshot" || event.type === "worker") this.#memory.changed(hiveId);
  }

  /** A hive became usable or unusable: waiting requests are told, and what is missing is started. */
  onHiveState(hiveId: string): void {
    for (const model of new Set(this.#table.ofHive(hiveId).map(({ row }) => row.record.model)))
      this.#table.changes.publish(model);
    this.#demand.ensure();
    for (const model of this.#context.models.keys()) this.#table.changes.publish(model);
  }

  /** A hive has been out of reach for too long: requests on its workers end. */
  abandon(hiveId: string, reason: string): void {
    this.#table.abandonHive(hiveId, reason);
  }

  /** Has the workers of a hive finish what they serve, and stops them; resolves when each was stopped. */
  async drainHive(hiveId: string, cause: string): Promise<void> {
    await Promise.all(this.#table.ofHive(hiveId).map(({ row }) => this.#drains.begin(row.record.worker_id, cause)));
  }

  /** Its state was put back: what is known of the order of its messages is void, and its next snapshot is what counts. */
  onHiveWentBack(hiveId: string): void {
    this.#table.numberAnew(hiveId);
  }

  /** A hive was stopped together with its workers: they are gone. */
  onHiveStopped(hiveId: string): void {
    for (const { row } of this.#table.ofHive(hiveId))
      this.#table.remove(row.record.worker_id, { actor: "queen", cause: "stopped" });
  }

  /** Workers as lists show them. */
  list(): readonly WorkerRecord[] {
    return this.#table
      .all()
      .map((entry) => ({ ...entry.row.record, in_flight: this.#options.inFlight(entry.row.record.worker_id) }));
  }

  /** How many workers of a hive there are. */
  countOf(hiveId: string): number {
    return this.#table.ofHive(hiveId).length;
  }

  /** Whether a model is loaded, for `GET /v1/models`. */
  statusOf(modelId: string): NonNullable<ModelRecord["status"]> {
    if (this.directory.ready(modelId).length > 0) return "loaded";
    if (this.#demand.starting(modelId) > 0) return "loading";
    return this.#failures.get(modelId) === null ? "unloaded" : "failed";
  }

  /** Nothing is started from now on. */
  stopStarting(): void {
    this.#stopping = true;
    this.#demand.close();
    for (const part of [this.#spawner, this.#drains, this.#idle, this.#memory, this.#room]) part[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.stopStarting();
    this.#traffic[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
  }

  #createDirectory(): WorkerDirectory {
    return {
      ready: (modelId) =>
        readyWorkers(this.#context, modelId, (workerId) => this.#drains.has(workerId) || this.#room.isYielding(workerId)),
      starting: (modelId) => this.#demand.starting(modelId),
      want: (modelId) => this.#demand.want(modelId),
      failure: (modelId) => this.#demand.failure(modelId),
      changes: this.#table.changes,
      report: (worker, outcome) => {
        this.#traffic.report(worker, outcome);
        if (outcome === "timeout") this.#doubt(worker);
      },
      standing: (worker) => this.#traffic.standing(worker),
      isDoubted: ({ hiveId }) => hiveId !== null && this.#context.hive(hiveId)?.inDoubt === true,
      idle: ({ model }) => this.#lookAtIdle(model),
    };
  }

  #lookAtIdle(modelId: string): void {
    this.#idle.touch(modelId);
    this.#drains.look();
    this.#room.look();
  }

  /** It may be hung behind a health path that says otherwise: only its hive can look. */
  #doubt({ workerId, hiveId }: ReadyWorker): void {
    const calls = hiveId === null ? null : (this.#context.hive(hiveId)?.calls ?? null);
    calls
      ?.checkWorker(workerId)
      .catch((error: unknown) => this.#options.log.warn("cannot have a worker checked", { error, worker_id: workerId }));
  }

  #counted(message: string, accept: () => CallbackAnswer): CallbackAnswer {
    const { callbacks } = this.#context.metrics;
    try {
      const answer = accept();
      callbacks.inc({ message, outcome: answer.applied ? "applied" : "repeated" });
      return answer;
    } catch (error) {
      callbacks.inc({ message, outcome: error instanceof QhError ? error.kind : "internal" });
      throw error;
    }
  }

  #schedulePoll(): void {
    const everyMs = this.#options.health.intervalMs;
    this.#timer = this.#options.clock.after(everyMs, () => {
      this.#news
        .pollOverdue(everyMs)
        .catch((error: unknown) => this.#options.log.error("cannot look for overdue callbacks", { error }))
        .finally(() => {
          if (!this.#stopping) this.#schedulePoll();
        });
    });
  }
}
