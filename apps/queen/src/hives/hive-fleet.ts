import { type Clock, isLoopbackAddress, type Log, type Metrics, workerKeyOf } from "@queen-and-hive/daemon";
import { type CallbackAnswer, type HiveReady, type HiveRecord, QhError, type QueenAddress } from "@queen-and-hive/protocol";
import type { HiveSettings, QueenSettings } from "../config/settings.ts";
import type { HiveLoss } from "../domain/mass-loss.ts";
import { createHost } from "../hosts/create-host.ts";
import { createHiveCommands } from "../hosts/hive-commands.ts";
import type { HiveRow, Store } from "../store/store.ts";
import type { FleetHive } from "../workers/fleet-context.ts";
import { type CallbackWays, createTransport } from "./create-transport.ts";
import { fleetHiveOf, type HiveParts } from "./fleet-hive.ts";
import { forgetWorkers } from "./forget-workers.ts";
import { needsWorker } from "./hive-installation.ts";
import { HiveKeeper } from "./hive-keeper.ts";
import { createHiveMetrics, type HiveMetrics } from "./hive-metrics.ts";
import { openHiveToken } from "./hive-token.ts";
import { type LeavingHive, LeavingHives } from "./leaving-hives.ts";
import { MassLossGuard } from "./mass-loss-guard.ts";
import type { StoppableHive } from "./stop-cascade.ts";
import type { WorkerNewsReceiver } from "./worker-news-receiver.ts";

/** What the hives need to know. */
export interface HiveFleetOptions {
  readonly settings: QueenSettings;
  readonly store: Store;
  /** Who we are; where a hive calls back is its transport's business. */
  readonly queen: () => QueenAddress;
  readonly callbacks: CallbackWays;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** One hive of the configuration. */
export interface FleetMember extends HiveParts {
  /** As the workers' fleet sees it. */
  readonly seen: FleetHive;
}

/** What a stop call keeps in hand beside `stop.term` and `stop.verify`, milliseconds. */
const STOP_CALL_RESERVE_MS = 5_000;

/** Every hive of the configuration, each with its keeper. */
export class HiveFleet implements AsyncDisposable {
  /** Hive id -> the token that the hive shows to us and we to it. */
  readonly tokens: Map<string, string>;
  readonly #options: HiveFleetOptions;
  readonly #metrics: HiveMetrics;
  readonly #hives = new Map<string, FleetMember>();
  readonly #guard: MassLossGuard;
  readonly #leaving: LeavingHives;
  #receiver: WorkerNewsReceiver | null = null;

  private constructor(options: HiveFleetOptions, tokens: Map<string, string>) {
    this.#options = options;
    this.tokens = tokens;
    this.#metrics = createHiveMetrics(options.metrics, {
      hives: () => this.records(() => 0),
      isFrozen: () => this.#guard.look(),
      nowMs: () => options.clock.nowMs(),
    });
    this.#guard = new MassLossGuard({
      policy: options.settings.health.massLoss,
      hives: () => this.#expected(),
      store: options.store,
      clock: options.clock,
      log: options.log,
    });
    this.#leaving = new LeavingHives({
      ...options,
      queenId: () => options.queen().queen_id,
      budgetMs: options.settings.shutdown.budgetMs,
      restart: options.settings.restart,
      workersOf: (hiveId) => (this.#receiver?.list() ?? []).filter((worker) => worker.hive_id === hiveId),
      onGone: (hiveId) => this.#receiver?.onHiveStopped(hiveId),
      random: Math.random,
    });
    const known = new Map(options.store.hives().map((row) => [row.hiveId, row]));
    for (const settings of options.settings.hives)
      this.#hives.set(settings.id, this.#keep(settings, known.get(settings.id) ?? null));
  }

  /** Reads tokens and registry; touches no hive. Throws `storage_failed`. */
  static async create(options: HiveFleetOptions): Promise<HiveFleet> {
    const tokens = new Map<string, string>();
    for (const { id } of options.settings.hives) tokens.set(id, await openHiveToken(options.settings.stateDir, id));
    return new HiveFleet(options, tokens);
  }

  /** Says who is told of workers; before `start`. */
  attach(receiver: WorkerNewsReceiver): void {
    this.#receiver = receiver;
  }

  /** Starts or adopts every hive, and stops those that the configuration no longer has. */
  start(): void {
    for (const { keeper } of this.#hives.values()) keeper.start();
    for (const row of this.#options.store.hives()) if (!this.#hives.has(row.hiveId)) this.#leaving.begin(row);
  }

  /** One that the configuration no longer has and of which something may be left; null when there is none of this name. */
  leaving(hiveId: string): LeavingHive | null {
    return this.#leaving.get(hiveId);
  }

  /** One hive. Throws `hive_not_found`. */
  member(hiveId: string): FleetMember {
    const member = this.#hives.get(hiveId);
    if (member !== undefined) return member;
    const known = [...this.#hives.keys()].join(", ");
    throw new QhError("hive_not_found", `cannot find the hive ${JSON.stringify(hiveId)}; there are: ${known || "none"}`);
  }

  /** Every hive. */
  members(): Iterable<FleetMember> {
    return this.#hives.values();
  }

  /**
   * Takes a hive that came into the configuration after the start, and starts it; one that is there stays as it is: false.
   * Throws what `requireServing` throws once nothing of it is being stopped any more.
   */
  async add(settings: HiveSettings, requireServing: () => void): Promise<boolean> {
    if (this.#hives.has(settings.id)) return false;
    await this.#leaving.release(settings.id);
    const token = await openHiveToken(this.#options.settings.stateDir, settings.id);
    requireServing();
    // Another call may have added it meanwhile.
    if (this.#hives.has(settings.id)) return false;
    this.tokens.set(settings.id, token);
    const known = this.#options.store.hives().find((row) => row.hiveId === settings.id) ?? null;
    const member = this.#keep(settings, known);
    this.#hives.set(settings.id, member);
    member.keeper.start();
    return true;
  }

  /** Lets go of a hive and strikes it off the registry. Throws `hive_not_found`, `storage_failed`. */
  async remove(hiveId: string, actor: string): Promise<void> {
    const { keeper, transport, host } = this.member(hiveId);
    this.#options.store.commit({ removeHives: [hiveId], events: [{ kind: "hive.removed", actor, hive_id: hiveId }] });
    this.#hives.delete(hiveId);
    this.tokens.delete(hiveId);
    await keeper[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
    await host[Symbol.asyncDispose]();
  }

  /** Hives as lists show them. */
  records(workersOf: (hiveId: string) => number): readonly HiveRecord[] {
    const kept = [...this.#hives.values()].map(({ keeper }) => keeper.record(workersOf(keeper.hiveId)));
    return [...kept, ...this.#leaving.all().map(({ record }) => record)];
  }

  /** Hives as the workers' fleet sees them, each always as it is now. */
  forWorkers(): readonly FleetHive[] {
    return [...this.#hives.values()].map(({ seen }) => seen);
  }

  /** One of them; null when there is none of this name. */
  forWorker(hiveId: string): FleetHive | null {
    return this.#hives.get(hiveId)?.seen ?? null;
  }

  /** Hives as the stop cascade sees them. */
  stoppable(workers: WorkerNewsReceiver, actor: string): readonly StoppableHive[] {
    const kept = [...this.#hives.values()].map(
      ({ settings, host, keeper }): StoppableHive => ({
        hiveId: settings.id,
        onQueenExit: settings.onQueenExit,
        stop: (how, deadline) => keeper.stop(how, deadline, actor),
        letGo: () => keeper[Symbol.asyncDispose](),
        workers: () => workers.list().filter((worker) => worker.hive_id === settings.id),
        isAlive: (identity) => host.isAlive(identity),
      }),
    );
    return [...kept, ...this.#leaving.all().map((leaving) => leaving.stoppable(actor))];
  }

  /** A hive's announcement after its start. Throws `forbidden`, `stale_epoch`, `stale_sequence`, `storage_failed`. */
  announce(hiveId: string, message: HiveReady): CallbackAnswer {
    const keeper = this.#hives.get(hiveId)?.keeper;
    if (keeper === undefined || message.hive_id !== hiveId) {
      throw new QhError(
        "forbidden",
        `cannot take an announcement of ${message.hive_id} with the token of ${hiveId}: a hive speaks for itself only`,
      );
    }
    const { queen_id: _queen, sequence, ...run } = message;
    return keeper.announce(run, sequence);
  }

  /** Real traffic has trouble with a hive's workers: its diagnosis runs at once. */
  suspect(hiveId: string): void {
    const keeper = this.#hives.get(hiveId)?.keeper;
    const epoch = keeper?.record().hive_epoch;
    if (keeper === undefined || epoch === null || epoch === undefined) return;
    keeper.post({
      type: "link_lost",
      epoch,
      reason: "traffic_failed",
      detail: "requests could not reach its workers",
      atMs: this.#options.clock.monotonicMs(),
    });
  }

  /** Tells hives that are being stopped to be quick. */
  hurry(deadlineMs: number): void {
    for (const { keeper } of this.#hives.values()) keeper.hurry(deadlineMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leaving[Symbol.asyncDispose]();
    await Promise.all(
      [...this.#hives.values()].map(async ({ keeper, transport, host }) => {
        await keeper[Symbol.asyncDispose]();
        await transport[Symbol.asyncDispose]();
        await host[Symbol.asyncDispose]();
      }),
    );
  }

  /** A hive gives its workers keys where others can reach them; we make the same from the same token. */
  #workerKey(hiveId: string, workerId: string): string | null {
    const workerHost = this.#hives.get(hiveId)?.settings.config.worker_host;
    if (workerHost === undefined || isLoopbackAddress(workerHost)) return null;
    return workerKeyOf(this.tokens.get(hiveId) ?? "", workerId);
  }

  #keep(settings: HiveSettings, known: HiveRow | null): FleetMember {
    const { settings: all, store, queen, clock, log } = this.#options;
    const host = createHost(settings.reach, clock);
    const { id: hiveId, installDir, stateDir } = settings;
    const transport = createTransport({ hive: settings, host, queen, callbacks: this.#options.callbacks, clock, log });
    const keeper = new HiveKeeper(
      {
        settings,
        host,
        commands: createHiveCommands(host, { hiveId, installDir, stateDir }),
        transport,
        token: this.tokens.get(settings.id) ?? "",
        store,
        queen,
        health: all.health,
        restart: all.restart,
        preflight: all.preflight,
        install: { limits: all.install, withWorker: needsWorker(all.models, settings) },
        stopWorkerMs: all.stop.termMs + all.stop.verifyMs + STOP_CALL_RESERVE_MS,
        stopHiveMs: all.shutdown.budgetMs,
        listener: {
          onEvent: (event) => this.#receiver?.onHiveEvent(settings.id, event),
          onState: () => this.#receiver?.onHiveState(settings.id),
          onGone: () => this.#receiver && forgetWorkers(this.#receiver, settings.id, log),
          onWentBack: () => this.#receiver?.onHiveWentBack(settings.id),
          onAbandoned: (reason) => this.#receiver?.abandon(settings.id, reason),
        },
        isFrozen: () => this.#guard.look(),
        metrics: this.#metrics,
        clock,
        random: Math.random,
        log,
      },
      known,
    );
    const parts = { settings, host, transport, keeper };
    return { ...parts, seen: fleetHiveOf(parts, (workerId) => this.#workerKey(hiveId, workerId)) };
  }

  /** The hives whose loss says something: a host that may be off, and one that an operator stopped, say nothing. */
  #expected(): readonly HiveLoss[] {
    return [...this.#hives.values()]
      .filter(({ settings, keeper }) => settings.presence === "always" && !keeper.isStoppedByOperator)
      .map(({ keeper }) => ({ hiveId: keeper.hiveId, lostAtMs: keeper.lostAtMs }));
  }
}
