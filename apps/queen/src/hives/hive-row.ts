import { isDeepStrictEqual } from "node:util";
import type { HiveSettings } from "../config/settings.ts";
import type { HiveRow, InstalledFiles } from "../store/store.ts";

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
  };
}

/** What was found in place on a hive's host; null when the configuration means another place now. */
export function stillInstalled(row: HiveRow, hive: HiveSettings): InstalledFiles | null {
  const isSamePlace = row.installDir === hive.installDir && isDeepStrictEqual(row.reach ?? null, hive.reach);
  return isSamePlace ? (row.installed ?? null) : null;
}
