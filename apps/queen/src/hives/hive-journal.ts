import type { Log } from "@queen-and-hive/daemon";
import { type HiveMachine, type HiveMachineEvent, runOf } from "../domain/hive-states.ts";
import type { JournalEntry } from "../store/store.ts";

/** How much of an error a list shows, characters. */
const SHOWN_MAX = 300;

/** The journal entry of a hive's move from one state to another. */
export function hiveStateEntry(hiveId: string, before: HiveMachine, after: HiveMachine, event: HiveMachineEvent): JournalEntry {
  const run = runOf(after.state);
  return {
    kind: "hive.state",
    actor: actorOf(event),
    hive_id: hiveId,
    from: before.state.name,
    to: after.state.name,
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
  if (event.type === "stop_requested") return event.actor ?? "operator";
  return event.type === "start_requested" ? (event.actor ?? "queen") : "queen";
}

/** Says a hive's move in the log; trouble as a warning. */
export function logHiveState(log: Log, hiveId: string, before: HiveMachine, after: HiveMachine): void {
  const { name } = after.state;
  const isTrouble = name === "crashed" || name === "hung" || name === "unreachable" || name === "failed";
  const fields = { hive_id: hiveId, from: before.state.name, ...(after.lastError === null ? {} : { reason: after.lastError }) };
  log[isTrouble ? "warn" : "info"](`the hive is ${name}`, fields);
}

/** The first line of an error, short enough for a list. */
export function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").slice(0, SHOWN_MAX);
}
