import { Deadline, Mailbox } from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveRecord, QhError, unreachable } from "@queen-and-hive/protocol";
import { nextHive } from "../domain/hive-machine.ts";
import {
  type HiveEffect,
  type HiveMachine,
  type HiveMachineEvent,
  isInDoubt,
  runOf,
  stateNameOf,
} from "../domain/hive-states.ts";
import type { HiveOrder, HiveRow } from "../store/store.ts";
import { FormerPlace } from "./former-place.ts";
import type { HiveCalls } from "./hive-calls.ts";
import { type HiveKeeperOptions, hivePolicy } from "./hive-keeper-options.ts";
import { hiveRecord, isHopeful } from "./hive-record.ts";
import { HiveRecorder, isRecorded } from "./hive-recorder.ts";
import { machineAtStart, newerPosition, recordedRun, rowAtStart, unfinishedOrder } from "./hive-row.ts";
import { HiveTimers } from "./hive-timers.ts";
import { HiveWork } from "./hive-work.ts";
import type { HiveStopOutcome } from "./host-stop.ts";
import { StopUnderWay } from "./stop-under-way.ts";

/** The only writer of one hive: a mailbox, the pure machine, and what its effects do to the world. */
export class HiveKeeper implements AsyncDisposable {
  readonly hiveId: string;
  readonly #options: HiveKeeperOptions;
  readonly #mailbox: Mailbox<HiveMachineEvent>;
  readonly #work: HiveWork;
  readonly #recorder: HiveRecorder;
  readonly #timers: HiveTimers;
  #machine: HiveMachine;
  #stopping: StopUnderWay | null = null;
  /** The queen stops, and it with her or without: nobody starts it any more. */
  #isLeaving = false;
  #isReleased = false;
  #hurryMs: number | null = null;

  constructor(options: HiveKeeperOptions, known: HiveRow | null) {
    this.#options = options;
    this.hiveId = options.settings.id;
    const { row, former } = rowAtStart(known, options.settings, options.clock.nowMs());
    this.#recorder = new HiveRecorder(options, row);
    this.#machine = machineAtStart(this.#row);
    this.#mailbox = new Mailbox({
      name: `hive ${this.hiveId}`,
      log: options.log,
      handle: (event) => this.#handle(event),
    });
    this.#timers = new HiveTimers(options, (timer) => this.post({ type: "timer", timer }));
    this.#work = new HiveWork(options, row, {
      post: (event) => this.post(event),
      former: new FormerPlace(options, former, (isSameDaemon) => this.#recorder.leftFormer(isSameDaemon)),
    });
  }

  /** Starts the hive or adopts the one that runs; one that an operator stopped stays so. */
  start(): void {
    if (this.#row.stoppedByOperator === true || this.unfinishedOrder !== null) return;
    this.post({ type: "start_requested", recorded: recordedRun(this.#row, this.#options.settings) });
  }

  get isStoppedByOperator(): boolean {
    return this.#row.stoppedByOperator === true;
  }

  /** What an operator has ordered and an earlier queen has not brought to its end. */
  get unfinishedOrder(): HiveOrder | null {
    return unfinishedOrder(this.#row);
  }

  /** An operator starts the hive, also one that an operator stopped. Throws `storage_failed`, `shutting_down`. */
  async startFor(actor: string): Promise<void> {
    await this.#stopping?.ended;
    this.#requireStay("start");
    this.#recorder.save({ stoppedByOperator: false, order: null });
    this.post({ type: "start_requested", actor });
    await this.#mailbox.drained();
  }

  /** An operator stops the hive: it stays so until an operator starts it, under a later queen too. Never throws. */
  stopFor(actor: string, workers: "stop" | "keep", deadline: Deadline): Promise<HiveStopOutcome> {
    // While it is being stopped with its workers, the more thorough order stands.
    const order = this.#stopping !== null && this.#row.order === "stop" ? "stop" : workers;
    this.#recorder.ordered(order);
    return this.#begin({ type: "stop_requested", workers, actor }, deadline).ended;
  }

  /**
   * An operator has its daemon ended and started again; its workers go on. `isOvertaken`: a stop was ordered meanwhile, so it
   * is not started again. Throws `storage_failed`, `shutting_down`.
   */
  async restartFor(actor: string, deadline: Deadline): Promise<{ outcome: HiveStopOutcome; isOvertaken: boolean }> {
    await this.#stopping?.ended;
    this.#requireStay("restart");
    this.#recorder.save({ stoppedByOperator: false, order: "restart" });
    const stopping = this.#begin({ type: "restart_requested", actor }, deadline);
    const outcome = await stopping.ended;
    return { outcome, isOvertaken: !stopping.isRestart };
  }

  /** Something happened to the hive; false when it was let go of. */
  post(event: HiveMachineEvent): boolean {
    return this.#mailbox.post(event);
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

  /** Its workers do not count: an operator has drained or stopped it, or it has not run for long. */
  get isReplaced(): boolean {
    return this.#machine.isDrained || this.#machine.isReplaced || this.#row.stoppedByOperator === true;
  }

  /** Since when others may stand in for its workers, ISO 8601; null when nobody does. */
  get replacedSince(): string | null {
    return this.#row.replacedSince ?? null;
  }

  /** It is back, and nobody stands in for its workers any more. What cannot be recorded stays as it was. */
  standInsEnded(): void {
    this.#recorder.saveIfPossible({ replacedSince: null });
  }

  /** Whether an operator drained it, whatever has become of it since. */
  get isDrainedByOperator(): boolean {
    return this.#row.isDrained === true;
  }

  /** No new work goes there until an operator says otherwise, under a later queen too; or it takes work again. */
  async orderFor(actor: string, type: "drain_requested" | "resume_requested", isPassing = false): Promise<void> {
    this.post({ type, actor, ...(isPassing ? { isPassing } : {}) });
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
    const position = newerPosition(this.#row, run.hive_epoch, sequence);
    if (position === null) return { applied: false };
    this.#recorder.save({ last: position });
    // What an operator stopped stays so, whoever started the daemon again.
    if (this.#row.stoppedByOperator !== true && this.#work.former === null) this.post({ type: "announced", run });
    return { applied: true };
  }

  /** Stops the hive because the queen stops, and says how it went; never throws. */
  stop(workers: "stop" | "keep", deadline: Deadline, actor: string): Promise<HiveStopOutcome> {
    this.#isLeaving = true;
    if (this.#row.order === "restart") this.#recorder.saveOrAlarm({ order: null });
    return this.#begin({ type: "stop_requested", workers, actor }, deadline).ended;
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
    this.#isLeaving = true;
    this.#isReleased = true;
    this.#mailbox.close();
    this.#timers.cancel();
    await this.#work[Symbol.asyncDispose]();
  }

  get #row(): HiveRow {
    return this.#recorder.row;
  }

  #handle(event: HiveMachineEvent): void {
    const before = this.#machine;
    const { machine, effects } = nextHive(before, event, hivePolicy(this.#options));
    const changed = machine.isDrained !== before.isDrained || isRecorded(before, machine, event);
    if (changed && !this.#recorder.move(before, machine, event, this.#work)) {
      // A start that is not made for want of disk would else be waited for for ever.
      this.#timers.tryAgain(event.type === "timer" ? event.timer : "start", () => this.post(event));
      return;
    }
    this.#machine = machine;
    if (machine.state.name !== before.state.name) this.#timers.stateLeft();
    for (const effect of effects) this.#run(effect);
    if (changed) this.#options.listener.onState();
  }

  #run(effect: HiveEffect): void {
    switch (effect.kind) {
      case "look":
        this.#background("look for", this.#work.look(effect.recorded));
        break;
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
        this.#timers.schedule(effect.timer, effect.attempt);
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

  #begin(event: Extract<HiveMachineEvent, { type: "stop_requested" | "restart_requested" }>, deadline: Deadline): StopUnderWay {
    const order = event.type === "stop_requested" ? "stop" : "restart";
    const known = this.#stopping;
    const stopping = known ?? new StopUnderWay(order);
    this.#stopping = stopping;
    stopping.join(order, deadline);
    const isTaken = this.post(event);
    if (!isTaken && known === null) this.#endStop({ kind: "unreachable", message: "the queen has let go of it: she stops" });
    return stopping;
  }

  async #stopHive(workers: "stop" | "keep"): Promise<void> {
    const known = runOf(this.#machine.state) ?? this.#row.identity;
    if (this.#hurryMs !== null) this.hurry(this.#hurryMs);
    const outcome = await this.#work.stop(workers, known, this.#stopping?.deadline ?? Deadline.never());
    await this.#mailbox.drained();
    // A more thorough stop was ordered meanwhile and has begun: its outcome is that of both.
    if (this.#machine.state.name === "stopping" && !this.#isReleased) return;
    this.#endStop(outcome);
  }

  #endStop(outcome: HiveStopOutcome): void {
    this.#stopping?.end(outcome);
    this.#stopping = null;
  }

  #requireStay(what: "start" | "restart"): void {
    if (!this.#isLeaving) return;
    throw new QhError("shutting_down", `cannot ${what} the hive ${this.hiveId}: the queen stops`);
  }
}
