import type { Log } from "@queen-and-hive/daemon";
import { type HiveMachine, type HiveMachineEvent, runOf, stateNameOf } from "../domain/hive-states.ts";
import type { JournalEntry } from "../store/store.ts";

/** How much of an error a list shows, characters. */
const SHOWN_MAX = 300;

/** Whose state it is, and whether its host may be off. */
export interface HiveNamed {
  readonly id: string;
  readonly presence: "always" | "best_effort";
}

/** What the journal keeps of a hive's step: its move to another state, and that its workers are replaced from now on. */
export function hiveEntries(
  hiveId: string,
  before: HiveMachine,
  after: HiveMachine,
  event: HiveMachineEvent,
): readonly JournalEntry[] {
  const isMove = stateNameOf(before) !== stateNameOf(after);
  const isReplaced = after.isReplaced && !before.isReplaced;
  return [
    ...(isMove ? [hiveStateEntry(hiveId, before, after, event)] : []),
    ...(isReplaced ? [{ kind: "hive.replaced", actor: "queen", hive_id: hiveId, cause: stateNameOf(after) }] : []),
  ];
}

function hiveStateEntry(hiveId: string, before: HiveMachine, after: HiveMachine, event: HiveMachineEvent): JournalEntry {
  const run = runOf(after.state);
  return {
    kind: "hive.state",
    actor: actorOf(event),
    hive_id: hiveId,
    from: stateNameOf(before),
    to: stateNameOf(after),
    cause: event.type,
    details: {
      ...(after.lastError === null ? {} : { error: after.lastError }),
      ...(run === null
        ? {}
        : { hive_epoch: run.hive_epoch, pid: run.pid, start_time: run.start_time, url: run.url, version: run.version }),
    },
  };
}

function actorOf(event: HiveMachineEvent): string {
  switch (event.type) {
    case "stop_requested":
      return event.actor ?? "operator";
    case "start_requested":
      return event.actor ?? "queen";
    case "restart_requested":
    case "drain_requested":
    case "resume_requested":
      return event.actor;
    default:
      return "queen";
  }
}

/** Says a hive's move in the log; trouble as a warning, except that a host which may be off is out of reach. */
export function logHiveState(log: Log, hive: HiveNamed, before: HiveMachine, after: HiveMachine): void {
  const name = stateNameOf(after);
  const mayBeOff = hive.presence === "best_effort" && name === "unreachable";
  const isTrouble = name === "crashed" || name === "hung" || name === "unreachable" || name === "failed";
  const fields = {
    hive_id: hive.id,
    from: stateNameOf(before),
    ...(after.lastError === null ? {} : { reason: after.lastError }),
  };
  log[isTrouble && !mayBeOff ? "warn" : "info"](`the hive is ${name}`, fields);
}

/** The first line of an error, short enough for a list. */
export function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").slice(0, SHOWN_MAX);
}
