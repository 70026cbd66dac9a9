import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Broadcast, type Clock } from "@queen-and-hive/daemon";
import type { JournalEvent } from "@queen-and-hive/protocol";
import { createRequestGroup } from "./request-group.ts";
import { parseHiveRow, parseJournalEvent, parseWorkerRow } from "./row-text.ts";
import { asStorageFailure, openDatabase } from "./sqlite-database.ts";
import type { JournalEntry, LifecycleChange, Store } from "./store.ts";

/** What the store needs to know. */
export interface SqliteStoreOptions {
  /** The database file. */
  readonly path: string;
  readonly clock: Clock;
  /** Called when request rows cannot be written; they are dropped then. */
  readonly onRequestsLost: (rows: number, error: unknown) => void;
  /** How many journal entries are kept; older ones are removed now and then. */
  readonly journalKept?: number;
}

/** How many journal entries are kept unless told. */
const JOURNAL_KEPT = 100_000;
/** The journal is pruned once per this many entries. */
const JOURNAL_PRUNE_EVERY = 1_000;
/** A copy of the write-ahead log into the database is asked for once per this many lifecycle changes; so it is when rows fill it. */
const CHECKPOINT_EVERY = 100;

/** Opens the store on `node:sqlite`. Throws `storage_failed`. */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const { database, losses } = openDatabase(options.path);
  const statements = prepare(database);
  const journaled = new Broadcast<JournalEvent>();
  const requests = createRequestGroup({ path: options.path, clock: options.clock, onLost: options.onRequestsLost });
  let commits = 0;

  const insertEvent = (entry: JournalEntry): JournalEvent => {
    const time = new Date(options.clock.nowMs()).toISOString();
    const sequence = Number(statements.insertEvent.run(time, entry.kind, JSON.stringify(entry)).lastInsertRowid);
    if (sequence % JOURNAL_PRUNE_EVERY === 0) statements.pruneJournal.run(sequence - (options.journalKept ?? JOURNAL_KEPT));
    return { sequence, time, ...entry };
  };

  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw asStorageFailure(options.path, error);
    }
  };

  return {
    losses,
    journaled,
    hives: () => guarded(() => statements.hives.all().map((row) => parseHiveRow(row["row"]))),
    workers: () => guarded(() => statements.workers.all().map((row) => parseWorkerRow(row["row"]))),
    commit(change) {
      const events = guarded(() =>
        inTransaction(database, () => {
          writeRows(statements, change);
          return change.events.map(insertEvent);
        }),
      );
      for (const event of events) journaled.publish(event);
      commits += 1;
      if (commits % CHECKPOINT_EVERY === 0) requests.checkpoint();
      return events;
    },
    journalAfter: (sequence, limit) =>
      guarded(() =>
        statements.journalAfter.all(sequence, limit).map((row) => parseJournalEvent(row["sequence"], row["time"], row["event"])),
      ),
    journalNewest: (limit) =>
      guarded(() =>
        statements.journalNewest
          .all(limit)
          .map((row) => parseJournalEvent(row["sequence"], row["time"], row["event"]))
          .reverse(),
      ),
    recordRequest: (row) => requests.add(row),
    flushRequests: () => requests.flush(),
    [Symbol.dispose]() {
      requests[Symbol.dispose]();
      if (database.isOpen) database.close();
    },
  };
}

interface Statements {
  readonly hives: StatementSync;
  readonly putHive: StatementSync;
  readonly removeHive: StatementSync;
  readonly workers: StatementSync;
  readonly putWorker: StatementSync;
  readonly removeWorker: StatementSync;
  readonly insertEvent: StatementSync;
  readonly pruneJournal: StatementSync;
  readonly journalAfter: StatementSync;
  readonly journalNewest: StatementSync;
}

function prepare(database: DatabaseSync): Statements {
  return {
    hives: database.prepare("SELECT row FROM hives ORDER BY hive_id"),
    putHive: database.prepare("INSERT INTO hives VALUES (?, ?) ON CONFLICT (hive_id) DO UPDATE SET row = excluded.row"),
    removeHive: database.prepare("DELETE FROM hives WHERE hive_id = ?"),
    workers: database.prepare("SELECT row FROM workers ORDER BY rowid"),
    putWorker: database.prepare("INSERT INTO workers VALUES (?, ?, ?) ON CONFLICT (worker_id) DO UPDATE SET row = excluded.row"),
    removeWorker: database.prepare("DELETE FROM workers WHERE worker_id = ?"),
    insertEvent: database.prepare("INSERT INTO journal (time, kind, event) VALUES (?, ?, ?)"),
    pruneJournal: database.prepare("DELETE FROM journal WHERE sequence <= ?"),
    journalAfter: database.prepare("SELECT sequence, time, event FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?"),
    journalNewest: database.prepare("SELECT sequence, time, event FROM journal ORDER BY sequence DESC LIMIT ?"),
  };
}

function writeRows(statements: Statements, change: LifecycleChange): void {
  for (const hive of change.hives ?? []) statements.putHive.run(hive.hiveId, JSON.stringify(hive));
  for (const hiveId of change.removeHives ?? []) statements.removeHive.run(hiveId);
  for (const worker of change.workers ?? []) {
    statements.putWorker.run(worker.record.worker_id, worker.record.hive_id, JSON.stringify(worker));
  }
  for (const workerId of change.removeWorkers ?? []) statements.removeWorker.run(workerId);
}

function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
