import { type HiveMachine, type HiveMachineEvent, runOf, stateNameOf } from "../domain/hive-states.ts";
import type { HiveOrder, HiveRow, InstalledFiles, JournalEntry } from "../store/store.ts";
import { hiveEntries, logHiveState } from "./hive-journal.ts";
import type { HiveKeeperOptions } from "./hive-keeper-options.ts";
import { hasGoneBack, placeOf, replacedFrom, UNKNOWN_THERE, withMachine } from "./hive-row.ts";

/** What is known of a hive's host. */
export interface FoundOnHost {
  readonly installed: InstalledFiles | null;
  /** The hive at its former place, while something may be left there. */
  readonly former: HiveRow | null;
}

/** The registry's row of one hive: on disk before anything that follows from it. */
export class HiveRecorder {
  readonly #options: HiveKeeperOptions;
  #row: HiveRow;

  constructor(options: HiveKeeperOptions, row: HiveRow) {
    this.#options = options;
    this.#row = row;
  }

  get row(): HiveRow {
    return this.#row;
  }

  /** Changes the row. Throws `storage_failed`; then nothing has changed. */
  save(patch: Partial<HiveRow>, events: readonly JournalEntry[] = []): void {
    const row = { ...this.#row, ...patch };
    this.#options.store.commit({ hives: [row], events });
    this.#row = row;
  }

  /** What may stay as it was when the disk does not take it. */
  saveIfPossible(patch: Partial<HiveRow>): void {
    try {
      this.save(patch);
    } catch (error) {
      this.#options.log.warn("cannot record what has become of a hive", { error, hive_id: this.#options.settings.id });
    }
  }

  /** An operator has ordered that it be stopped: nobody waits for its workers any more. */
  ordered(order: HiveOrder): void {
    const replacedSince = replacedFrom(this.#row, this.#options.clock.nowMs());
    this.saveOrAlarm({ stoppedByOperator: true, order, replacedSince });
  }

  /** An order to stop, and what came of one, hold also when the disk does not take them. */
  saveOrAlarm(patch: Partial<HiveRow>): void {
    this.#saveAnyway(patch, "cannot record that a hive is to be stopped, or is: a later queen may start or stop it again");
  }

  /** Nothing of it is left at its former place, unless its daemon there is the one here: what was known of it is void. */
  leftFormer(isSameDaemon: boolean): void {
    const { settings, listener } = this.#options;
    const patch = { ...placeOf(settings), ...(isSameDaemon ? {} : UNKNOWN_THERE) };
    this.#saveAnyway(patch, "cannot record that a hive has left its former place: a later queen may stop it there again");
    if (!isSameDaemon) listener.onGone();
  }

  /**
   * A move of its machine; stopping alone goes on when the disk does not take it. False: it must not happen. Its place is not
   * that of the configuration while something may be left at a former one.
   */
  move(before: HiveMachine, machine: HiveMachine, event: HiveMachineEvent, found: FoundOnHost): boolean {
    const { clock, log, settings, metrics, listener } = this.#options;
    const isMove = stateNameOf(machine) !== stateNameOf(before);
    const known = this.#row.identity;
    const isBack = hasGoneBack(known, runOf(machine.state));
    const row: HiveRow = {
      ...withMachine(this.#row, machine, clock.nowMs()),
      isDrained: isDrainedBy(event) ?? this.#row.isDrained === true,
      since: isMove ? new Date(clock.nowMs()).toISOString() : this.#row.since,
      ...(found.former === null ? { ...placeOf(settings), installed: found.installed } : {}),
      isEmpty: isProvenEmpty(before, machine, event),
      ...(isOrderDone(machine, event) ? { order: null } : {}),
      ...(isBack ? { last: null } : {}),
    };
    try {
      if (isBack) {
        log.warn("a hive has an earlier state than it had: what it says counts anew", { hive_id: settings.id });
        listener.onWentBack();
      }
      this.save(row, hiveEntries(settings.id, before, machine, event));
    } catch (error) {
      log.error("cannot record a change of a hive", { error, hive_id: settings.id, to: machine.state.name });
      // A start that cannot be recorded is not made; everything else only follows what has already happened.
      if (event.type === "start_requested" || event.type === "timer") return false;
      this.#row = isBack ? { ...row, identity: known } : row;
    }
    if (isMove) logHiveState(log, settings, before, machine);
    if (machine.restarts > before.restarts) metrics.restarts.inc({ hive: settings.id, reason: before.state.name });
    return true;
  }

  #saveAnyway(patch: Partial<HiveRow>, alarm: string): void {
    try {
      this.save(patch);
    } catch (error) {
      const { log, settings } = this.#options;
      log.error(alarm, { error, hive_id: settings.id });
      this.#row = { ...this.#row, ...patch };
    }
  }
}

/** Whether an event changes what is recorded of a hive. An operator may drain what is drained in passing already. */
export function isRecorded(before: HiveMachine, machine: HiveMachine, event: HiveMachineEvent): boolean {
  return machine.state !== before.state || machine.isReplaced !== before.isReplaced || isDrainedBy(event) !== null;
}

/** What an operator's word on draining comes to; null for everything else. */
function isDrainedBy(event: HiveMachineEvent): boolean | null {
  if (event.type === "resume_requested") return false;
  return event.type === "drain_requested" && event.isPassing !== true ? true : null;
}

/** What another queen owns was not looked at. */
function isProvenEmpty({ state: before }: HiveMachine, { state }: HiveMachine, event: HiveMachineEvent): boolean {
  if (event.type !== "stop_ended" || event.isOthers === true) return false;
  return state.name === "stopped" && before.name === "stopping" && before.workers === "stop";
}

/** A stop whose end is not proven is still to be brought to its end. */
function isOrderDone({ state }: HiveMachine, event: HiveMachineEvent): boolean {
  return event.type === "stop_ended" && (state.name === "stopped" || state.name === "starting");
}
