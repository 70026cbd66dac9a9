import { existsSync } from "node:fs";
import { Deadline, systemClock } from "@queen-and-hive/daemon";
import type { HiveFate, QueenShutdownAnswer } from "@queen-and-hive/protocol";
import type { QueenSettings } from "../config/settings.ts";
import { fateOf, isCleanFate } from "../hives/stop-cascade.ts";
import { createHost } from "../hosts/create-host.ts";
import { createHiveCommands } from "../hosts/hive-commands.ts";
import { readQueenIdentity } from "../store/queen-identity.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { takeStateLock } from "../store/state-lock.ts";
import type { HiveRow } from "../store/store.ts";

/**
 * Stops every hive that the registry of a queen who does not run has as not stopped, holding her lock meanwhile. Null when
 * there is no registry. Throws `already_running`, `storage_failed`.
 */
export async function stopRecordedHives(settings: QueenSettings, database: string): Promise<QueenShutdownAnswer | null> {
  const identity = readQueenIdentity(settings.stateDir);
  if (!existsSync(database) || identity === null) return null;
  await using _lock = await takeStateLock(settings.stateDir);
  using store = openSqliteStore({ path: database, clock: systemClock, onRequestsLost: () => undefined });
  const rows = store.hives().filter((row) => row.state !== "stopped");
  const deadline = Deadline.in(settings.shutdown.budgetMs);
  const hives = await Promise.all(
    rows.map(async (row) => {
      const fate = await stopOne(settings, row, identity.queen_id, deadline);
      const isStopped = isCleanFate(fate);
      store.commit({
        hives: [{ ...row, state: isStopped ? "stopped" : "failed", since: new Date(systemClock.nowMs()).toISOString() }],
        removeWorkers: isStopped
          ? store
              .workers()
              .filter(({ record }) => record.hive_id === row.hiveId)
              .map(({ record }) => record.worker_id)
          : [],
        events: [
          {
            kind: "hive.state",
            actor: "operator",
            hive_id: row.hiveId,
            from: row.state,
            to: isStopped ? "stopped" : "failed",
            cause: "down_without_queen",
          },
        ],
      });
      return fate;
    }),
  );
  return { hives, clean: hives.every(isCleanFate) };
}

async function stopOne(settings: QueenSettings, row: HiveRow, queenId: string, deadline: Deadline): Promise<HiveFate> {
  const configured = settings.hives.find((hive) => hive.id === row.hiveId);
  await using host = createHost(configured?.reach ?? row.reach ?? null);
  const installDir = configured?.installDir ?? row.installDir ?? null;
  const place = { hiveId: row.hiveId, installDir, stateDir: row.stateDir };
  try {
    return fateOf(row.hiveId, "stop", await createHiveCommands(host, place).stop({ keepWorkers: false, queenId }, deadline), []);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { hive_id: row.hiveId, fate: "unreachable", workers_stopped: 0, workers_killed: 0, workers_kept: 0, message };
  }
}
