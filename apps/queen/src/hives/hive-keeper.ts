import { Deadline, Mailbox } from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveRecord, QhError, unreachable } from "@queen-and-hive/protocol";
import { judgePosition } from "../domain/callback-freshness.ts";
import { nextHive } from "../domain/hive-machine.ts";
import {
  type HiveEffect,
  type HiveMachine,
  type HiveMachineEvent,
  type HiveTimer,
  INITIAL_HIVE_MACHINE,
  isInDoubt,
  runOf,
  stateNameOf,
} from "../domain/hive-states.ts";
import type { HiveRow, Store } from "../store/store.ts";
import type { HiveCalls } from "./hive-calls.ts";
import { hiveStateEntry, logHiveState } from "./hive-journal.ts";
import type { HiveKeeperOptions } from "./hive-keeper-options.ts";
import { hiveRecord, isHopeful } from "./hive-record.ts";
import { newHiveRow } from "./hive-row.ts";
import { hiveTimerMs } from "./hive-timers.ts";
import { type HiveStopOutcome, HiveWork } from "./hive-work.ts";

/** The only writer of one hive: a mailbox, the pure machine, and what its effects do to the world. */
export class HiveKeeper implements AsyncDisposable {
  readonly hiveId: string;
  readonly #options: HiveKeeperOptions;
  readonly #mailbox: Mailbox<HiveMachineEvent>;
  readonly #work: HiveWork;
  readonly #timers = new Map<HiveTimer, Disposable>();
  #machine: HiveMachine;
  #row: HiveRow;
  #stopDeadline: Deadline = Deadline.never();
  #stopping: PromiseWithResolvers<HiveStopOutcome> | null = null;
  #hurryMs: number | null = null;

  constructor(options: HiveKeeperOptions, known: HiveRow | null) {
    this.#options = options;
    this.hiveId = options.settings.id;
    this.#row = known ?? newHiveRow(options.settings, options.clock.nowMs());
    this.#machine = { ...INITIAL_HIVE_MACHINE, isDrained: this.#row.isDrained === true };
    this.#mailbox = new Mailbox({
      name: `hive ${this.hiveId}`,
      log: options.log,
      handle: (event) => this.#handle(event),
    });
    this.#work = new HiveWork(options, this.#row, (event) => this.post(event));
  }

  /** Starts the hive or adopts the one that runs; one that an operator stopped stays so. */
  start(): void {
    if (this.#row.stoppedByOperator !== true) this.post({ type: "start_requested" });
  }

  /** An operator's stop that an earlier queen has not brought to its end. */
  get isStopUnfinished(): boolean {
    return this.#row.stoppedByOperator === true && this.#row.state !== "stopped";
  }

  /** An operator starts the hive, also one that an operator stopped. Throws `storage_failed`. */
  async startFor(actor: string): Promise<void> {
    await this.#stopping?.promise;
    this.#save({ ...this.#row, stoppedByOperator: false }, []);
    this.post({ type: "start_requested", actor });
    await this.#mailbox.drained();
  }

  /** An operator stops the hive: it stays so until an operator starts it, under a later queen too. Never throws. */
  stopFor(actor: string, workers: "stop" | "keep", deadline: Deadline): Promise<HiveStopOutcome> {
    const row = { ...this.#row, stoppedByOperator: true };
    try {
      this.#save(row, []);
    } catch (error) {
      this.#options.log.error("cannot record that an operator stops a hive: a later queen may start it again", {
        error,
        hive_id: this.hiveId,
      });
      this.#row = row;
    }
    return this.#begin(workers, deadline, actor);
  }

  /** Something happened to the hive. */
  post(event: HiveMachineEvent): void {
    this.#mailbox.post(event);
  }

  /** The hive with the process that it was last known by. */
  record(workers = 0): HiveRecord {
    return hiveRecord({
      machine: this.#machine,
      row: this.#row,
      host: this.#options.host.name,
      presence: this.#options.settings.presence,
      work: this.#work,
      workers,
    });
  }

  get usable(): boolean {
    return stateNameOf(this.#machine) === "running";
  }

  get inDoubt(): boolean {
    return isInDoubt(this.#machine);
  }

  get bootId(): string | null {
    return runOf(this.#machine.state)?.boot_id ?? null;
  }

  /** When it was first found mute or out of reach since it was last well, on the clock's monotonic scale; null when it is not. */
  get lostAtMs(): number | null {
    return this.#machine.lostAtMs;
  }

  /** Its workers do not count: it is drained, or has been out of reach for long. */
  get isReplaced(): boolean {
    return this.#machine.isDrained || this.#machine.isReplaced;
  }

  /** No new work goes there until an operator says otherwise, under a later queen too; or it takes work again. */
  async orderFor(actor: string, type: "drain_requested" | "resume_requested"): Promise<void> {
    this.post({ type, actor });
    await this.#mailbox.drained();
  }

  get arriving(): boolean {
    return this.#machine.state.name === "starting";
  }

  /** It runs, or is expected to run again without anybody's help. */
  get hopeful(): boolean {
    return isHopeful(this.#machine);
  }

  /** How to call the hive; null while there is no link. */
  get calls(): HiveCalls | null {
    return this.#work.calls;
  }

  /** A hive-ready callback. Throws `stale_epoch`, `stale_sequence`, `forbidden`, `storage_failed`. */
  announce(run: HiveIdentity, sequence: number): { readonly applied: boolean } {
    const position = { epoch: run.hive_epoch, sequence };
    const freshness = judgePosition(this.#row.last, position);
    if (freshness.verdict === "refuse") {
      throw new QhError(
        freshness.kind,
        `cannot take the announcement of ${this.hiveId}: epoch ${run.hive_epoch}, sequence ${sequence} is old`,
      );
    }
    if (freshness.verdict === "repeated") return { applied: false };
    this.#save({ ...this.#row, last: position }, []);
    // What an operator stopped stays so, whoever started the daemon again.
    if (this.#row.stoppedByOperator !== true) this.post({ type: "announced", run });
    return { applied: true };
  }

  /** Stops the hive with or without its workers and says how it went; never throws. */
  stop(workers: "stop" | "keep", deadline: Deadline, actor: string): Promise<HiveStopOutcome> {
    return this.#begin(workers, deadline, actor);
  }

  /** Tells a hive to be quick: when it is being stopped with its workers, or else as soon as it is. */
  hurry(deadlineMs: number): void {
    this.#hurryMs = deadlineMs;
    const { state } = this.#machine;
    if (state.name !== "stopping" || state.workers !== "stop" || state.run === null) return;
    this.#background("hurry", this.#work.hurry(state.run, deadlineMs));
  }

  /** Lets go of the hive without touching it: it and its workers go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#mailbox.close();
    this.#cancelTimers();
    await this.#work[Symbol.asyncDispose]();
  }

  #handle(event: HiveMachineEvent): void {
    const before = this.#machine;
    const { machine, effects } = nextHive(before, event, {
      suspectGraceMs: this.#options.health.suspectGraceMs,
      breakerRestarts: this.#options.restart.breakerRestarts,
      breakerWindowMs: this.#options.restart.breakerWindowMs,
      isFrozen: this.#options.isFrozen(),
    });
    const changed =
      machine.state !== before.state || machine.isDrained !== before.isDrained || machine.isReplaced !== before.isReplaced;
    if (changed && !this.#record(before, machine, event)) return;
    this.#machine = machine;
    if (machine.state.name !== before.state.name) this.#cancelTimers();
    for (const effect of effects) this.#run(effect);
    if (changed) this.#options.listener.onState();
  }

  /** On disk before its effects; stopping alone goes on when the disk does not take it. */
  #record(before: HiveMachine, machine: HiveMachine, event: HiveMachineEvent): boolean {
    const { clock, log, settings, metrics } = this.#options;
    const isMove = stateNameOf(machine) !== stateNameOf(before);
    const row: HiveRow = {
      ...this.#row,
      state: stateNameOf(machine),
      isDrained: machine.isDrained,
      since: isMove ? new Date(clock.nowMs()).toISOString() : this.#row.since,
      identity: runOf(machine.state) ?? this.#row.identity,
      restarts: machine.restarts,
      lastError: machine.lastError,
      stateDir: settings.stateDir,
      reach: settings.reach,
      installDir: settings.installDir,
      installed: this.#work.installed,
    };
    try {
      this.#save(row, isMove ? [hiveStateEntry(this.hiveId, before, machine, event)] : []);
    } catch (error) {
      log.error("cannot record a change of a hive", { error, hive_id: this.hiveId, to: machine.state.name });
      this.#row = row;
      // A start that cannot be recorded is not made; everything else only follows what has already happened.
      if (event.type === "start_requested" || event.type === "timer") return false;
    }
    if (isMove) logHiveState(log, settings, before, machine);
    if (isMove && machine.state.name === "crashed") metrics.restarts.inc({ hive: this.hiveId, reason: event.type });
    return true;
  }

  #save(row: HiveRow, events: Parameters<Store["commit"]>[0]["events"]): void {
    this.#options.store.commit({ hives: [row], events });
    this.#row = row;
  }

  #run(effect: HiveEffect): void {
    switch (effect.kind) {
      case "call_start":
        this.#background("start", this.#work.callStart(this.#row.identity === null));
        break;
      case "connect":
        this.#work.connect(effect.run);
        break;
      case "disconnect":
        this.#work.disconnect();
        break;
      case "diagnose":
        this.#background("diagnose", this.#work.diagnose(effect.run));
        break;
      case "end_daemon":
        this.#background("end the daemon of", this.#work.endDaemon(effect.run));
        break;
      case "abandon_workers":
        this.#options.listener.onAbandoned(effect.reason);
        break;
      case "schedule":
        this.#schedule(effect.timer, effect.attempt);
        break;
      case "stop_hive":
        this.#background("stop", this.#stopHive(effect.workers));
        break;
      default:
        unreachable(effect);
    }
  }

  #background(what: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.log.error(`cannot ${what} a hive`, { error, hive_id: this.hiveId }));
  }

  #begin(workers: "stop" | "keep", deadline: Deadline, actor: string): Promise<HiveStopOutcome> {
    this.#stopDeadline = deadline;
    this.#stopping ??= Promise.withResolvers<HiveStopOutcome>();
    const { promise } = this.#stopping;
    this.post({ type: "stop_requested", workers, actor });
    return promise;
  }

  async #stopHive(workers: "stop" | "keep"): Promise<void> {
    const known = runOf(this.#machine.state) ?? this.#row.identity;
    if (this.#hurryMs !== null) this.hurry(this.#hurryMs);
    const outcome = await this.#work.stop(workers, known, this.#stopDeadline);
    await this.#mailbox.drained();
    this.#stopping?.resolve(outcome);
    this.#stopping = null;
  }

  #schedule(timer: HiveTimer, attempt: number): void {
    this.#timers.get(timer)?.[Symbol.dispose]();
    const { health, restart, random } = this.#options;
    const delayMs = hiveTimerMs(timer, attempt, { health, restart, random });
    this.#timers.set(
      timer,
      this.#options.clock.after(delayMs, () => this.post({ type: "timer", timer })),
    );
  }

  #cancelTimers(): void {
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
    this.#timers.clear();
  }
}
