import { isDeepStrictEqual } from "node:util";
import { isSameProcess } from "@queen-and-hive/daemon";
import { type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config/settings.ts";
import { judgePosition, type MessagePosition } from "../domain/callback-freshness.ts";
import { type HiveMachine, INITIAL_HIVE_MACHINE, runOf, stateNameOf } from "../domain/hive-states.ts";
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

/** Where the configuration says that a hive is. */
export function placeOf({ stateDir, reach, installDir }: HiveSettings): Pick<HiveRow, "stateDir" | "reach" | "installDir"> {
  return { stateDir, reach, installDir };
}

/** Whether a hive's row and the configuration mean the same state directory of the same machine. */
export function isInPlace(row: HiveRow, hive: HiveSettings): boolean {
  return isDeepStrictEqual(row.reach?.target ?? null, hive.reach?.target ?? null) && row.stateDir === hive.stateDir;
}

/** What is forgotten of a hive that has another place now. */
export const UNKNOWN_THERE = { identity: null, last: null, installed: null } as const;

/** A hive's row before it is started, and where something of it may be left when that is no longer its place. */
export function rowAtStart(
  known: HiveRow | null,
  hive: HiveSettings,
  nowMs: number,
): { readonly row: HiveRow; readonly former: HiveRow | null } {
  if (known === null) return { row: newHiveRow(hive, nowMs), former: null };
  if (isInPlace(known, hive)) return { row: known, former: null };
  // One that never answered, a misspelt host above all, has left nothing there.
  const isGone = known.isEmpty === true || known.identity === null;
  return isGone ? { row: { ...known, ...placeOf(hive), ...UNKNOWN_THERE }, former: null } : { row: known, former: known };
}

/** Where an announcement stands that is newer than all before it; null for one that is repeated. Throws for an old one. */
export function newerPosition(row: HiveRow, epoch: number, sequence: number): MessagePosition | null {
  const position = { epoch, sequence };
  const freshness = judgePosition(row.last, position);
  if (freshness.verdict === "refuse") {
    throw new QhError(
      freshness.kind,
      `cannot take the announcement of ${row.hiveId}: epoch ${epoch}, sequence ${sequence} is old`,
    );
  }
  return freshness.verdict === "repeated" ? null : position;
}

/** A hive's machine under a queen who has just begun: an operator's word stands, and so does who stands in for its workers. */
export function machineAtStart({ isDrained, replacedSince }: HiveRow): HiveMachine {
  return { ...INITIAL_HIVE_MACHINE, isDrained: isDrained === true, isReplaced: typeof replacedSince === "string" };
}

/** What of its machine is kept in a hive's row. */
export function withMachine(row: HiveRow, machine: HiveMachine, nowMs: number): HiveRow {
  return {
    ...row,
    state: stateNameOf(machine),
    replacedSince: machine.isDrained || machine.isReplaced ? replacedFrom(row, nowMs) : (row.replacedSince ?? null),
    identity: runOf(machine.state) ?? row.identity,
    restarts: machine.restarts,
    lastError: machine.lastError,
  };
}

/** Since when others may stand in for its workers, if they do from now on at the latest. */
export function replacedFrom({ replacedSince }: HiveRow, nowMs: number): string {
  return replacedSince ?? new Date(nowMs).toISOString();
}

/** The order of an operator that an earlier queen has not brought to its end; null when there is none. */
export function unfinishedOrder({ order, stoppedByOperator, state }: HiveRow): HiveOrder | null {
  if (order !== undefined) return order;
  // A row of a queen who kept no orders.
  return stoppedByOperator === true && state !== "stopped" ? "stop" : null;
}

/** The daemon that an earlier queen knew; null when there is none, or the configuration means another place now. */
export function recordedRun(row: HiveRow, hive: HiveSettings): HiveIdentity | null {
  return isInPlace(row, hive) && isSameInstallation(row, hive) ? row.identity : null;
}

/**
 * Whether a daemon knows less than its hive knew once: another process that counts no further than the one known. Its state
 * directory was put back, and its numbers begin anew.
 */
export function hasGoneBack(known: HiveIdentity | null, run: HiveIdentity | null): boolean {
  return known !== null && run !== null && run.hive_epoch <= known.hive_epoch && !isSameProcess(known, run);
}

/** What was found in place on a hive's host; null when the configuration means another folder there, or reaches it otherwise. */
export function stillInstalled(row: HiveRow, hive: HiveSettings): InstalledFiles | null {
  return isSameInstallation(row, hive) ? (row.installed ?? null) : null;
}

/** Whether its program is to be in the same folder of a host that is reached in the same way. Its state has a place of its own. */
function isSameInstallation(row: HiveRow, hive: HiveSettings): boolean {
  return row.installDir === hive.installDir && isDeepStrictEqual(row.reach ?? null, hive.reach);
}
