import { backoffMs, type Clock, Deadline, type Log } from "@queen-and-hive/daemon";
import type { HiveRecord, WorkerRecord } from "@queen-and-hive/protocol";
import type { RestartSettings } from "../config/settings.ts";
import type { HiveRow, Store } from "../store/store.ts";
import { firstLine } from "./hive-journal.ts";
import { type RecordedHive, recordedHive } from "./recorded-hive.ts";
import { describeFate, isCleanFate, type StoppableHive, stopHive } from "./stop-cascade.ts";

/** What is needed to stop hives that are no longer wanted. */
export interface LeavingHivesOptions {
  readonly store: Store;
  readonly queenId: () => string;
  /** How long one try may take, milliseconds. */
  readonly budgetMs: number;
  /** The pauses between tries. */
  readonly restart: RestartSettings;
  /** Workers of a hive as the registry knows them. */
  readonly workersOf: (hiveId: string) => readonly WorkerRecord[];
  /** Nothing of a hive is left: its workers are forgotten. */
  readonly onGone: (hiveId: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Hives that the registry has and the configuration no longer: each is stopped again and again until nothing of it is left. */
export class LeavingHives implements AsyncDisposable {
  readonly #options: LeavingHivesOptions;
  readonly #hives = new Map<string, LeavingHive>();

  constructor(options: LeavingHivesOptions) {
    this.#options = options;
  }

  /** Begins to stop one where its row says that it is; one that was proven to be gone is only forgotten. */
  begin(row: HiveRow): void {
    const leaving = new LeavingHive(row, this.#options, () => this.#hives.delete(row.hiveId));
    this.#hives.set(row.hiveId, leaving);
    if (row.isEmpty === true) leaving.forget("queen");
    else leaving.tryNow();
  }

  /** One of them, or null. */
  get(hiveId: string): LeavingHive | null {
    return this.#hives.get(hiveId) ?? null;
  }

  /** All that are not proven to be gone. */
  all(): readonly LeavingHive[] {
    return [...this.#hives.values()];
  }

  /** It is wanted again: it is not stopped any more, but for a try that is under way, whose end is awaited. */
  async release(hiveId: string): Promise<void> {
    const leaving = this.#hives.get(hiveId);
    // Until then it is here: whoever else wants it waits too, and a queen who stops stops it.
    await leaving?.release();
    if (this.#hives.get(hiveId) === leaving) this.#hives.delete(hiveId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all().map((leaving) => leaving[Symbol.asyncDispose]()));
  }
}

/** One hive on its way out. */
export class LeavingHive implements AsyncDisposable {
  readonly hiveId: string;
  readonly #options: LeavingHivesOptions;
  readonly #row: HiveRow;
  readonly #hive: RecordedHive;
  readonly #onForgotten: () => void;
  #timer: Disposable | null = null;
  #attempts = 0;
  #trying: Promise<void> | null = null;
  #lastError: string | null = null;
  #isClosed = false;

  constructor(row: HiveRow, options: LeavingHivesOptions, onForgotten: () => void) {
    this.hiveId = row.hiveId;
    this.#row = row;
    this.#options = options;
    this.#onForgotten = onForgotten;
    const { clock, queenId, workersOf } = options;
    this.#hive = recordedHive(row, { queenId: queenId(), workers: () => workersOf(row.hiveId), clock });
  }

  /** As lists show it. */
  get record(): HiveRecord {
    const { hiveId, identity, restarts, since } = this.#row;
    const error = this.#lastError === null ? "" : `: ${this.#lastError}`;
    return {
      hive_id: hiveId,
      hive_epoch: identity?.hive_epoch ?? null,
      state: this.#trying === null ? "failed" : "stopping",
      pid: null,
      start_time: null,
      boot_id: null,
      url: null,
      version: identity?.version ?? null,
      host: this.#hive.hostName,
      workers: this.#hive.workers().length,
      restarts,
      since,
      last_error: firstLine(`it is no longer in the configuration and is to be stopped${error}`),
    };
  }

  /** Stops it now, and again after a pause while anything may be left. */
  tryNow(): void {
    const ended = (): void => {
      this.#trying = null;
    };
    this.#trying = this.#try().then(ended, (error: unknown) => {
      ended();
      this.#options.log.error("cannot stop a hive of no configuration", { error, hive_id: this.hiveId });
      this.#tryLater();
    });
  }

  /** To be stopped by an operator or with the queen; once that is proven, it is forgotten. */
  stoppable(actor: string): StoppableHive {
    return {
      ...this.#hive,
      letGo: async () => await this[Symbol.asyncDispose](),
      onFate: (fate) => {
        if (isCleanFate(fate)) this.forget(actor);
      },
    };
  }

  /** Strikes it off the registry, with its workers. Never throws: what cannot be recorded is tried again. */
  forget(actor: string): void {
    const { store, onGone, log } = this.#options;
    try {
      onGone(this.hiveId);
      store.commit({
        removeHives: [this.hiveId],
        events: [{ kind: "hive.removed", actor, hive_id: this.hiveId, from: this.#row.state, cause: "not_configured" }],
      });
    } catch (error) {
      log.error("cannot record that a hive of no configuration is gone", { error, hive_id: this.hiveId });
      this.#lastError = "it is stopped, which cannot be recorded";
      this.#tryLater();
      return;
    }
    this.#close();
    this.#onForgotten();
  }

  /** It is not stopped any more; a try that is under way is awaited, and nothing follows from it. */
  async release(): Promise<void> {
    this.#close();
    await this.#trying;
    await this.#hive[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#hive[Symbol.asyncDispose]();
  }

  async #try(): Promise<void> {
    const { budgetMs, clock, log } = this.#options;
    if (this.#attempts === 0) log.warn("stopping a hive that is no longer in the configuration", { hive_id: this.hiveId });
    const fate = await stopHive(this.#hive, "stop", Deadline.in(budgetMs, clock));
    if (this.#isClosed) return;
    if (isCleanFate(fate)) {
      log.info(`a hive of no configuration is gone: ${describeFate(fate)}`, { hive_id: this.hiveId });
      this.forget("queen");
      if (this.#isClosed) await this.#hive[Symbol.asyncDispose]();
      return;
    }
    const error = fate.message ?? fate.fate;
    if (error !== this.#lastError)
      log.error(`cannot stop a hive that is no longer in the configuration: ${describeFate(fate)}`, { hive_id: this.hiveId });
    this.#lastError = error;
    this.#tryLater();
  }

  #tryLater(): void {
    if (this.#isClosed) return;
    const { clock, restart, random } = this.#options;
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.after(backoffMs(this.#attempts, restart, random), () => this.tryNow());
    this.#attempts += 1;
  }

  #close(): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }
}
