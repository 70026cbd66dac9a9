import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { ManualClock, type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { QhError, type QueenConfigInput, type WorkerReady } from "@queen-and-hive/protocol";
import { resolveSettings } from "../src/config/resolve.ts";
import type { QueenSettings } from "../src/config/settings.ts";
import { Dispatcher } from "../src/dispatch/dispatcher.ts";
import type { Lease } from "../src/dispatch/ticket.ts";
import { openSqliteStore } from "../src/store/sqlite-store.ts";
import type { Store } from "../src/store/store.ts";
import { WorkerFleet } from "../src/workers/worker-fleet.ts";
import { SimulatedHive } from "./simulated-hive.ts";

/** How a request of a test has fared; times in milliseconds of the manual clock. */
export interface AskedRequest {
  readonly model: string;
  readonly askedAtMs: number;
  startedAtMs: number | null;
  error: unknown;
}

/** The real fleet, dispatcher and store of a queen, with one simulated hive and time that a test moves. */
export class FleetWorld implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly settings: QueenSettings;
  readonly hive: SimulatedHive;
  /** Her hives; a test may take one out or bring one in. */
  readonly hives: SimulatedHive[];
  fleet: WorkerFleet;
  dispatcher: Dispatcher;
  readonly asked: AskedRequest[] = [];
  /** What the hive's ready messages were answered. */
  readonly answers: string[] = [];
  readonly store: Store;
  /** While true, nothing can be recorded. */
  isDiskFull = false;
  readonly #folder: TemporaryDirectory;

  private constructor(
    folder: TemporaryDirectory,
    config: QueenConfigInput,
    hive: Pick<ConstructorParameters<typeof SimulatedHive>[0], "bytes">,
  ) {
    this.#folder = folder;
    const { clock } = this;
    const place = { file: null, workingDirectory: folder.path, home: folder.path, machineId: "machine", sshAgent: null };
    const settings = resolveSettings({ runtimes: { fake: { command: ["fake"] } }, ...config }, place, clock.nowMs());
    this.settings = settings;
    this.hive = new SimulatedHive({ ...hive, loadMs: 2_000, stopMs: 100, clock });
    this.hives = [this.hive];
    const store = openSqliteStore({ path: folder.join("queen.db"), clock, onRequestsLost: () => undefined });
    this.store = {
      ...store,
      commit: (change) => {
        if (this.isDiskFull) throw new QhError("storage_failed", "cannot write the registry: ENOSPC");
        return store.commit(change);
      },
    };
    this.fleet = this.#queen();
    this.dispatcher = this.#dispatch();
    this.hive.tellReady = (message) => this.deliver(message);
  }

  static async start(
    config: QueenConfigInput,
    hive: Pick<ConstructorParameters<typeof SimulatedHive>[0], "bytes">,
  ): Promise<FleetWorld> {
    return new FleetWorld(await temporaryDirectory("qh-fleet"), config, hive);
  }

  /** Sends a request that takes so long once it has a slot. */
  ask(model: string, tookMs: number, client = "one"): AskedRequest {
    const request: AskedRequest = { model, askedAtMs: this.clock.monotonicMs(), startedAtMs: null, error: null };
    this.asked.push(request);
    const signal = new AbortController().signal;
    const wish = { client, session: () => null, excluded: new Set<string>(), place: null, lastError: null, signal };
    this.dispatcher
      .lease(model, wish)
      .then((lease) => this.#serve(request, lease, tookMs))
      .catch((error: unknown) => {
        request.error = error;
      });
    return request;
  }

  /** Another hive joins her. */
  addHive(hiveId: string, bytes: number): SimulatedHive {
    const hive = new SimulatedHive({ hiveId, bytes, loadMs: 2_000, stopMs: 100, clock: this.clock });
    hive.tellReady = (message) => this.deliver(message);
    this.hives.push(hive);
    return hive;
  }

  /** The queen is killed, and the next one reads what is recorded; hives and workers go on. */
  restartQueen(): void {
    this.dispatcher[Symbol.dispose]();
    this.fleet[Symbol.dispose]();
    this.fleet = this.#queen();
    this.dispatcher = this.#dispatch();
  }

  /** A ready message as a hive's outbox delivers it: again every second until it is acknowledged. */
  deliver(message: WorkerReady): void {
    try {
      this.answers.push(this.fleet.acceptReady(message.hive_id, message).applied ? "applied" : "repeated");
    } catch (error) {
      this.answers.push(error instanceof QhError ? error.kind : String(error));
      this.clock.after(1_000, () => this.deliver({ ...message, delivery_attempt: message.delivery_attempt + 1 }));
    }
  }

  /** Lets time pass until nothing waits, at most so long. */
  async run(withinMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + withinMs;
    while (this.asked.some((request) => request.startedAtMs === null && request.error === null)) {
      if (this.clock.monotonicMs() >= endMs) return;
      await this.clock.advance(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispatcher[Symbol.dispose]();
    this.fleet[Symbol.dispose]();
    this.store[Symbol.dispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #queen(): WorkerFleet {
    const { settings, clock } = this;
    return new WorkerFleet({
      store: this.store,
      models: settings.models,
      health: settings.health,
      restart: settings.restart,
      eviction: settings.eviction,
      drainMs: settings.drainMs,
      hives: () => this.hives,
      hive: (hiveId) => this.hives.find((hive) => hive.hiveId === hiveId) ?? null,
      queen: this.hive.queen,
      inFlight: (workerId) => this.dispatcher.inFlight(workerId),
      lastUsedMs: (workerId) => this.dispatcher.lastUsedMs(workerId),
      waiting: (model) => this.dispatcher.waiting(model),
      onTrafficTrouble: () => undefined,
      metrics: createMetrics(),
      clock,
      random: () => 0.5,
      log: silentLog,
    });
  }

  #dispatch(): Dispatcher {
    const limits = { ...this.settings.queue, retryWaitMs: 1_000 };
    return new Dispatcher({ directory: this.fleet.directory, limits, clock: this.clock, depthChanged: () => undefined });
  }

  async #serve(request: AskedRequest, lease: Lease, tookMs: number): Promise<void> {
    request.startedAtMs = this.clock.monotonicMs();
    await this.clock.sleep(tookMs);
    lease.release(tookMs);
  }
}
