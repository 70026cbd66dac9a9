import { type HiveRecord, unreachable } from "@queen-and-hive/protocol";
import { type HiveMachine, runOf, stateNameOf } from "../domain/hive-states.ts";
import type { HiveRow } from "../store/store.ts";
import { firstLine } from "./hive-journal.ts";

/** What a keeper knows of its hive. */
export interface HiveFacts {
  readonly machine: HiveMachine;
  readonly row: HiveRow;
  readonly host: string;
  readonly presence: "always" | "best_effort";
  readonly work: { readonly devices: HiveRecord["devices"]; readonly progress: string | null };
  readonly workers: number;
}

/** A hive as lists show it, with the process that it was last known by. */
export function hiveRecord({ machine, row, host, presence, work, workers }: HiveFacts): HiveRecord {
  const run = runOf(machine.state);
  const identity = run ?? row.identity;
  return {
    hive_id: row.hiveId,
    hive_epoch: identity?.hive_epoch ?? null,
    state: stateNameOf(machine),
    pid: run?.pid ?? null,
    start_time: run?.start_time ?? null,
    boot_id: run?.boot_id ?? null,
    url: run?.url ?? null,
    version: identity?.version ?? null,
    host,
    workers,
    restarts: machine.restarts,
    since: row.since,
    ...(row.stoppedByOperator === true ? { stopped_by: "operator" } : {}),
    ...(presence === "best_effort" ? { presence } : {}),
    ...(work.progress === null ? {} : { progress: work.progress }),
    ...(work.devices === undefined ? {} : { devices: work.devices }),
    ...(machine.lastError === null ? {} : { last_error: firstLine(machine.lastError) }),
  };
}

/** It runs, or is expected to run again without anybody's help. */
export function isHopeful(machine: HiveMachine): boolean {
  if (machine.isDrained) return false;
  switch (machine.state.name) {
    case "starting":
    case "running":
    case "suspect":
    case "crashed":
    case "hung":
    case "unreachable":
      return true;
    case "stopping":
      return machine.state.next === "start";
    case "stopped":
    case "failed":
      return false;
    default:
      return unreachable(machine.state);
  }
}
