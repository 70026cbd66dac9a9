import {
  type Clock,
  Deadline,
  ensurePrivateDir,
  isLoopbackAddress,
  type Log,
  type Metrics,
  readProcessIdentity,
  StopSequence,
  workerKeyOf,
} from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveShutdown, type HiveShutdownAnswer, PROTOCOL } from "@queen-and-hive/protocol";
import { outboxNotices } from "./callbacks/notices.ts";
import { Outbox } from "./callbacks/outbox.ts";
import { QueenLine } from "./callbacks/queen-line.ts";
import type { HiveSettings } from "./config.ts";
import type { Environment } from "./config-environment.ts";
import { EventStreams } from "./http/event-streams.ts";
import { observeHive } from "./http/hive-metrics.ts";
import type { HiveParts } from "./http/hive-parts.ts";
import { callbackUrlFor, startServer } from "./http/hive-server.ts";
import { capabilitiesOf } from "./resources/capabilities.ts";
import { Devices } from "./resources/devices.ts";
import { embeddedWorker, ownForm } from "./resources/embedded-worker.ts";
import { nextEpoch } from "./store/epoch.ts";
import { readLastIdentity } from "./store/identity-file.ts";
import { KeptIdentity } from "./store/kept-identity.ts";
import { readKeptStart } from "./store/kept-start.ts";
import { Ownership } from "./store/ownership.ts";
import { Sequence } from "./store/sequence.ts";
import { openStateId } from "./store/state-id.ts";
import type { StatePaths } from "./store/state-paths.ts";
import { TokenFile } from "./store/token-file.ts";
import type { Supervision } from "./workers/supervision.ts";
import { createSupervisor } from "./workers/supervisor.ts";

/** What a hive is made of. The caller holds the daemon's lock. */
export interface HiveOptions {
  readonly paths: StatePaths;
  readonly settings: HiveSettings;
  readonly environment: Environment;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A daemon that listens. */
export interface RunningHive {
  readonly identity: HiveIdentity;
  /**
   * Stops the workers with proof or keeps them, says so, then ends the daemon. A second call joins the first, which says what
   * becomes of the workers; the earliest deadline counts.
   */
  stop(workers: HiveShutdown["workers"], deadline: Deadline): Promise<HiveShutdownAnswer>;
  /** Resolves when everything is closed. */
  readonly ended: Promise<void>;
}

/** What a stop keeps of its deadline for telling the queen and for closing, but never more than half of it. */
const CLOSING_MS = 2_000;
/** What the stop of one worker may take beyond TERM and proof: killing what is left, freeing its port. */
const STOP_MARGIN_MS = 3_000;

/**
 * Starts a hive: counts its epoch, opens what the state directory keeps, binds its port, adopts or reaps the workers of the
 * last daemon, and only then says who it is. Throws `port_in_use`, `storage_failed`, `invalid_config`.
 */
export async function openHive(options: HiveOptions): Promise<RunningHive> {
  const { paths, log, clock } = options;
  const stops = new StopSequence({ log, clock });
  try {
    const state = await openState(options, stops);
    const hive = new Hive(options, state, stops);
    await hive.start();
    return hive;
  } catch (error) {
    log.error("the hive cannot start", { error, state_dir: paths.dir });
    await stops.stop(Deadline.in(CLOSING_MS, clock));
    throw error;
  }
}

interface HiveState {
  readonly ownership: Ownership;
  readonly token: TokenFile;
  readonly outbox: Outbox;
  readonly supervision: Supervision;
  readonly devices: Devices;
  readonly identity: PromiseWithResolvers<HiveIdentity>;
  readonly address: PromiseWithResolvers<string>;
  readonly epoch: number;
  /** The identity once it is known; asked for only by what runs afterwards. */
  known(): HiveIdentity;
}

async function openState(options: HiveOptions, stops: StopSequence): Promise<HiveState> {
  const { paths, settings, clock, log, metrics } = options;
  await ensurePrivateDir(paths.workersDir);
  const { epoch, loss: epochLoss } = nextEpoch(paths, clock);
  const { stateId, loss: stateIdLoss } = openStateId(paths);
  const ownership = new Ownership(paths);
  const sequence = Sequence.open(paths, clock);
  const token = await TokenFile.open(paths);
  const identity = Promise.withResolvers<HiveIdentity>();
  const address = Promise.withResolvers<string>();
  let identityNow: HiveIdentity | null = null;
  void identity.promise.then((value) => {
    identityNow = value;
  });
  const known = (): HiveIdentity => {
    if (identityNow === null) throw new Error("the hive's identity is asked for before it is known");
    return identityNow;
  };
  const line = new QueenLine({ ownership, token: () => token.current, identity: known, timeoutMs: settings.callback.timeoutMs });
  const outbox = await Outbox.open({ paths, settings: settings.callback, ownership, sequence, line, clock, log, metrics });
  stops.defer("the outbox", () => outbox[Symbol.asyncDispose]());
  for (const loss of [epochLoss, stateIdLoss, ownership.loss, sequence.loss, outbox.loss]) if (loss !== null) log.error(loss);
  const searchPath = searchPathOfHost(settings, options.environment);
  const devices = new Devices({ searchPath, named: settings.devices.use ?? [], clock, log });
  const supervision = createSupervisor({
    stateDir: paths.dir,
    hiveId: settings.hiveId,
    stateId,
    config: settings,
    environment: options.environment,
    callbackUrl: () => address.promise,
    workerKey: (workerId) => (isLoopbackAddress(settings.workerHost) ? null : workerKeyOf(token.current, workerId)),
    embeddedWorker: () => embeddedWorker(ownForm()),
    devices,
    notices: outboxNotices(outbox),
    clock,
    log,
    metrics,
  });
  stops.defer("the supervisor", async () => supervision[Symbol.asyncDispose]());
  return { ownership, token, outbox, supervision, devices, identity, address, epoch, known };
}

class Hive implements RunningHive {
  readonly ended: Promise<void>;
  readonly #options: HiveOptions;
  readonly #state: HiveState;
  readonly #stops: StopSequence;
  readonly #kept: KeptIdentity;
  readonly #ended = Promise.withResolvers<void>();
  #stopping: Promise<HiveShutdownAnswer> | null = null;
  #isStoppingWorkers = false;
  #deadline: Deadline | null = null;

  constructor(options: HiveOptions, state: HiveState, stops: StopSequence) {
    this.#options = options;
    this.#state = state;
    this.#stops = stops;
    this.#kept = new KeptIdentity(options);
    this.ended = this.#ended.promise;
  }

  get identity(): HiveIdentity {
    return this.#state.known();
  }

  async start(): Promise<void> {
    const { paths, settings, clock, log, metrics } = this.#options;
    const { supervision, devices, ownership, outbox, identity, address } = this.#state;
    const events = new EventStreams({
      supervision,
      identity: this.#state.known,
      clock,
      beatMs: settings.beatMs,
      sampleEveryMs: settings.sampleEveryMs,
    });
    this.#stops.defer("the event streams", async () => events[Symbol.dispose]());
    observeHive(metrics, supervision, devices, clock);
    const server = await startServer({
      parts: this.#parts(events),
      token: this.#state.token,
      settings,
      lastUrl: readLastIdentity(paths)?.url ?? null,
      opened: identity.promise,
      log,
      metrics,
    });
    this.#stops.defer("the HTTP server", (deadline) => server.close(deadline));
    address.resolve(callbackUrlFor(settings.listen.host, server.port));
    const recovery = await supervision.recover();
    for (const loss of recovery.losses) log.error(loss);
    const own = this.#ownIdentity(server.url);
    this.#kept.sayRunning(own);
    this.#stops.defer("identity.json", async () => this.#kept[Symbol.dispose]());
    identity.resolve(own);
    await identity.promise;
    outbox.start();
    const owner = ownership.current;
    if (owner !== null) void this.#sayReady(owner.queen_id);
    log.info("the hive listens", {
      ...own,
      owner: owner?.queen_id ?? null,
      adopted: recovery.adopted,
      reaped: recovery.reaped,
      ended: recovery.ended,
    });
  }

  stop(workers: HiveShutdown["workers"], deadline: Deadline): Promise<HiveShutdownAnswer> {
    const answer = this.#shutDown(workers, deadline);
    void answer.then(() => this.#end());
    return answer;
  }

  #shutDown(workers: HiveShutdown["workers"], deadline: Deadline): Promise<HiveShutdownAnswer> {
    this.#deadline = this.#deadline?.min(deadline) ?? deadline;
    if (this.#stopping === null) this.#stopping = this.#stopWorkers(workers, deadline);
    else if (this.#isStoppingWorkers && workers === "stop") this.#hurryWorkers(deadline);
    return this.#stopping;
  }

  /** Those that are being stopped have less time from now on; what became of them is said by the first call. */
  #hurryWorkers(deadline: Deadline): void {
    this.#options.log.info("the stop is hurried", { budget_ms: deadline.remainingMs() });
    void this.#state.supervision.stopAll(deadlineOfWorkers(deadline));
  }

  async #stopWorkers(workers: HiveShutdown["workers"], deadline: Deadline): Promise<HiveShutdownAnswer> {
    const { supervision, outbox } = this.#state;
    this.#isStoppingWorkers = workers === "stop";
    this.#options.log.info("the hive stops", { workers, budget_ms: deadline.remainingMs() });
    this.#kept.sayEnding(this.#state.known());
    if (workers === "keep") return { workers: [], kept: supervision.list().filter(({ pid }) => pid !== null).length };
    const stopped = await supervision.stopAll(deadlineOfWorkers(deadline));
    await outbox.flush((this.#deadline ?? deadline).min(Deadline.in(CLOSING_MS, this.#options.clock)));
    return { workers: stopped, kept: 0 };
  }

  #end(): void {
    const deadline = this.#deadline ?? Deadline.in(CLOSING_MS, this.#options.clock);
    void this.#stops.stop(deadline.min(Deadline.in(CLOSING_MS, this.#options.clock))).then(() => this.#ended.resolve());
  }

  async #sayReady(queenId: string): Promise<void> {
    try {
      await this.#state.outbox.add(queenId, { kind: "hive_ready" });
    } catch (error) {
      this.#options.log.error("cannot keep the hive's ready message on disk", { error });
    }
  }

  #ownIdentity(url: string): HiveIdentity {
    const own = readProcessIdentity(process.pid);
    if (own === null) throw new Error("a running process has an identity");
    const { settings, version } = this.#options;
    return { hive_id: settings.hiveId, hive_epoch: this.#state.epoch, ...own, version, protocol: PROTOCOL, url };
  }

  #parts(events: EventStreams): HiveParts {
    const { settings, version, paths, metrics, clock, environment } = this.#options;
    const { supervision, ownership } = this.#state;
    return {
      supervision,
      ownership,
      events,
      metrics,
      stopWorkerMs: settings.stop.termMs + settings.stop.verifyMs + STOP_MARGIN_MS,
      logTailLines: settings.limits.logTailLines,
      identity: this.#state.known,
      keptStart: () => readKeptStart(paths),
      status: () => (this.#stopping === null ? "ok" : "stopping"),
      capabilities: () =>
        capabilitiesOf({
          settings,
          version,
          stateDir: paths.dir,
          embedded: embeddedWorker(ownForm()),
          searchPath: searchPathOfHost(settings, environment),
          devices: this.#state.devices,
          clock,
        }),
      deadlineIn: (ms) => Deadline.in(ms, clock),
      shutDown: (workers, deadline) => this.#shutDown(workers, deadline),
      end: () => this.#end(),
    };
  }
}

/** When the workers of a stop must be gone, so that the rest of it is still in time. */
function deadlineOfWorkers(deadline: Deadline): Deadline {
  return deadline.earlier(Math.min(CLOSING_MS, deadline.remainingMs() / 2));
}

/** Where engines are looked for when a model says nothing else. */
function searchPathOfHost(settings: HiveSettings, environment: Environment): string {
  return settings.env["PATH"] ?? environment["PATH"] ?? "";
}
