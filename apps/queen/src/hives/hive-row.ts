import { isDeepStrictEqual } from "node:util";
import type { HiveSettings } from "../config/settings.ts";
import { type HiveMachine, runOf, stateNameOf } from "../domain/hive-states.ts";
import type { HiveOrder, HiveRow, InstalledFiles } from "../store/store.ts";

/** The registry's row of a hive that has never been started. */
export function newHiveRow(hive: HiveSettings, nowMs: number): HiveRow {
  return {
    hiveId: hive.id,
    state: "stopped",
    since: new Date(nowMs).toISOString(),
    identity: null,
    restarts: 0,
    lastError: null,
    stateDir: hive.stateDir,
    reach: hive.reach,
    installDir: hive.installDir,
    last: null,
    order: null,
  };
}

/** What of its machine is kept in a hive's row. */
export function withMachine(row: HiveRow, machine: HiveMachine): HiveRow {
  return {
    ...row,
    state: stateNameOf(machine),
    isDrained: machine.isDrained,
    identity: runOf(machine.state) ?? row.identity,
    restarts: machine.restarts,
    lastError: machine.lastError,
  };
}

/** The order of an operator that an earlier queen has not brought to its end; null when there is none. */
export function unfinishedOrder({ order, stoppedByOperator, state }: HiveRow): HiveOrder | null {
  if (order !== undefined) return order;
  // A row of a queen who kept no orders.
  return stoppedByOperator === true && state !== "stopped" ? "stop" : null;
}

/** What was found in place on a hive's host; null when the configuration means another place now. */
export function stillInstalled(row: HiveRow, hive: HiveSettings): InstalledFiles | null {
  const isSamePlace = row.installDir === hive.installDir && isDeepStrictEqual(row.reach ?? null, hive.reach);
  return isSamePlace ? (row.installed ?? null) : null;
}
