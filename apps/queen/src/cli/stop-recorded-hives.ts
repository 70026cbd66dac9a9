import { existsSync } from "node:fs";
import { Deadline, systemClock } from "@queen-and-hive/daemon";
import type { HiveFate, QueenShutdownAnswer } from "@queen-and-hive/protocol";
import type { QueenSettings } from "../config/settings.ts";
import { isInPlace } from "../hives/hive-row.ts";
import { recordedHive } from "../hives/recorded-hive.ts";
import { isCleanFate, stopHive } from "../hives/stop-cascade.ts";
import { readQueenIdentity } from "../store/queen-identity.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { takeStateLock } from "../store/state-lock.ts";
import type { HiveRow, Store } from "../store/store.ts";

/**
 * Stops every hive in the registry of a queen who does not run, holding her lock meanwhile: also those that are recorded as
 * stopped, whose workers may have been kept. Null when there is no registry. Throws `already_running`, `storage_failed`.
 */
export async function stopRecordedHives(settings: QueenSettings, database: string): Promise<QueenShutdownAnswer | null> {
  const identity = readQueenIdentity(settings.stateDir);
  if (!existsSync(database) || identity === null) return null;
  await using _lock = await takeStateLock(settings.stateDir);
  using store = openSqliteStore({ path: database, clock: systemClock, onRequestsLost: () => undefined });
  return await stopRows(settings, store, identity.queen_id);
}

/** Stops the hives of a registry, all at once, each where its row says that it is. What cannot be recorded is said. */
export async function stopRows(settings: QueenSettings, store: Store, queenId: string): Promise<QueenShutdownAnswer> {
  const deadline = Deadline.in(settings.shutdown.budgetMs);
  const hives = await Promise.all(
    store.hives().map(async (row): Promise<HiveFate> => {
      const fate = await stopRow(settings, store, row, { queenId, deadline });
      const unrecorded = record(store, row, fate);
      return unrecorded === null ? fate : { ...fate, message: [fate.message, unrecorded].filter(isText).join("; ") };
    }),
  );
  return { hives, clean: hives.every(isCleanFate) };
}

async function stopRow(
  settings: QueenSettings,
  store: Store,
  row: HiveRow,
  { queenId, deadline }: { readonly queenId: string; readonly deadline: Deadline },
): Promise<HiveFate> {
  const configured = settings.hives.find((hive) => hive.id === row.hiveId);
  // The file may know better by now how its host is reached; that it means another host is the next queen's business.
  const reach = configured !== undefined && isInPlace(row, configured) ? { reach: configured.reach } : {};
  const workers = store.workers().map(({ record: worker }) => worker);
  await using hive = recordedHive(row, {
    queenId,
    ...reach,
    workers: () => workers.filter((worker) => worker.hive_id === row.hiveId),
    clock: systemClock,
  });
  return await stopHive(hive, "stop", deadline);
}

/** Null, or that it could not be recorded: then the next queen looks again. */
function record(store: Store, row: HiveRow, fate: HiveFate): string | null {
  const isStopped = isCleanFate(fate);
  const workers = store.workers().filter(({ record: worker }) => worker.hive_id === row.hiveId);
  const state = isStopped ? "stopped" : "failed";
  try {
    store.commit({
      hives: [
        {
          ...row,
          state,
          since: new Date(systemClock.nowMs()).toISOString(),
          // What another queen owns was not looked at.
          isEmpty: isStopped && fate.fate !== "not_ours",
          order: isStopped ? null : (row.order ?? null),
        },
      ],
      removeWorkers: isStopped ? workers.map(({ record: worker }) => worker.worker_id) : [],
      events: [
        { kind: "hive.state", actor: "operator", hive_id: row.hiveId, from: row.state, to: state, cause: "down_without_queen" },
      ],
    });
    return null;
  } catch (error) {
    return `this could not be recorded: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isText(text: string | undefined): text is string {
  return text !== undefined;
}
