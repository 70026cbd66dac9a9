import { type Clock, Deadline, type Log } from "@queen-and-hive/daemon";
import type { HiveFate, QueenShutdown, QueenShutdownAnswer } from "@queen-and-hive/protocol";
import type { QueenSettings } from "./config/settings.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { forgetWorkers } from "./hives/forget-workers.ts";
import type { HiveFleet } from "./hives/hive-fleet.ts";
import { isCleanFate, stopHives } from "./hives/stop-cascade.ts";
import type { Identity } from "./http/identity.ts";
import type { QueenPhase } from "./http/queen-view.ts";
import type { Store } from "./store/store.ts";
import type { WorkerFleet } from "./workers/worker-fleet.ts";

/** What a stop of the queen touches. */
export interface QueenParts {
  readonly store: Store;
  readonly hives: HiveFleet;
  readonly workers: WorkerFleet;
  readonly gateway: Gateway<Identity>;
}

/** What a stop needs to know. */
export interface QueenStopOptions {
  readonly settings: QueenSettings;
  readonly log: Log;
  readonly clock: Clock;
}

/** What the cascade keeps back of its budget after draining, beside `stop.term` and `stop.verify`, milliseconds. */
const CASCADE_RESERVE_MS = 3_000;
/** What a hurried cascade still gives open streams to end well-formed, milliseconds. */
const HURRIED_DRAIN_MS = 600;
/** What a hurried hive still has for its workers and for itself, milliseconds. */
const HURRIED_HIVE_MS = 1_500;

/** The stop of a queen with her hives and workers: asked for by whomever, done once, its outcome told to everybody. */
export class QueenStop {
  readonly #options: QueenStopOptions;
  readonly #drainNow = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<QueenShutdownAnswer>();
  #phase: QueenPhase = "serving";
  #hurried = false;
  #cascade: Promise<QueenShutdownAnswer> | null = null;

  constructor(options: QueenStopOptions) {
    this.#options = options;
  }

  get phase(): QueenPhase {
    return this.#phase;
  }

  /** Resolves with the outcome once the cascade is over. */
  get stopped(): Promise<QueenShutdownAnswer> {
    return this.#stopped.promise;
  }

  /** A second Ctrl-C: open streams are ended now, hives get little time. */
  hurry(hives: HiveFleet): void {
    this.#hurried = true;
    this.#drainNow.resolve();
    hives.hurry(HURRIED_HIVE_MS);
  }

  /** The stop cascade; the first call decides how, every call gets its outcome. */
  run(
    parts: QueenParts,
    how: QueenShutdown["hives"],
    actor: string,
    onFate?: (fate: HiveFate) => void,
  ): Promise<QueenShutdownAnswer> {
    this.#cascade ??= this.#stopEverything(parts, how, actor, onFate ?? (() => undefined));
    this.#cascade.then(this.#stopped.resolve, this.#stopped.reject);
    return this.#cascade;
  }

  async #stopEverything(
    { store, hives, workers, gateway }: QueenParts,
    how: QueenShutdown["hives"],
    actor: string,
    onFate: (fate: HiveFate) => void,
  ): Promise<QueenShutdownAnswer> {
    const { settings, log, clock } = this.#options;
    const { shutdown, stop } = settings;
    this.#phase = "stopping";
    const deadline = Deadline.in(shutdown.budgetMs, clock);
    const running = workers.list().filter((worker) => worker.pid !== null).length;
    log.info("stopping", { hives: hives.stoppable(workers, actor).map(({ hiveId }) => hiveId), workers: running, how, actor });
    recordOrAlarm(store, log, { kind: "queen.stopping", actor, cause: how });
    workers.stopStarting();
    gateway.refuse(Math.ceil(shutdown.budgetMs / 1_000));
    const drain = deadline.earlier(stop.termMs + stop.verifyMs + CASCADE_RESERVE_MS).min(Deadline.in(shutdown.drainMs, clock));
    await this.#drain(gateway, drain);
    const answer = await stopHives(hives.stoppable(workers, actor), how, deadline, (fate) => {
      if (isCleanFate(fate) && fate.fate !== "kept") forgetWorkers(workers, fate.hive_id, log);
      onFate(fate);
    });
    recordOrAlarm(store, log, {
      kind: "queen.stopped",
      actor,
      cause: answer.clean ? "clean" : "left",
      details: { hives: answer.hives },
    });
    return answer;
  }

  async #drain(gateway: Gateway<Identity>, deadline: Deadline): Promise<void> {
    const { clock } = this.#options;
    if (this.#hurried) return gateway.drain(Deadline.in(HURRIED_DRAIN_MS, clock));
    const drained = gateway.drain(deadline);
    const hurried = this.#drainNow.promise.then(() => gateway.drain(Deadline.in(HURRIED_DRAIN_MS, clock)));
    await Promise.race([drained, hurried]);
  }
}

/** Stopping goes on when the disk is full, with an alarm. */
function recordOrAlarm(store: Store, log: Log, entry: Parameters<Store["commit"]>[0]["events"][number]): void {
  try {
    store.commit({ events: [entry] });
  } catch (error) {
    log.error("cannot write the journal while stopping", { error, kind: entry.kind });
  }
}
