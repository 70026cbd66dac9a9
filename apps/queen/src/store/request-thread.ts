// The thread that writes the rows of ended requests and copies the write-ahead log into the database: a disk that takes its time,
// or another program that holds the database, keeps nobody waiting but this thread. It loads next to nothing, to be small.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { workerData } from "node:worker_threads";
import {
  COMMITTING,
  DONE,
  GIVEN_UP,
  OPEN,
  PHASE,
  type RequestJob,
  type RequestThreadData,
  type RowsLost,
} from "./request-job.ts";
import { COLUMNS, type RowValue } from "./request-rows.ts";

/** So many rows go into one INSERT, which costs fewer calls than one each; more at once make it no cheaper. */
const INSERT_ROWS = 16;
const MANY_VALUES = INSERT_ROWS * COLUMNS.length;
/** How many request rows are kept; older ones are removed once per PRUNE_EVERY. */
const REQUESTS_KEPT = 100_000;
const PRUNE_EVERY = 500;
/** After so many rows or groups, 4 MB or so, the write-ahead log is copied into the database. */
const LOG_ROWS = 5_000;
const LOG_GROUPS = 250;
/** How long a statement waits for others who write to the database, milliseconds; the end of the process may wait as long. */
const BUSY_TIMEOUT_MS = 3_000;

interface Opened {
  readonly database: DatabaseSync;
  readonly insertMany: StatementSync;
  readonly insertOne: StatementSync;
  readonly prune: StatementSync;
}

const { path, port, state } = workerData as RequestThreadData;
let opened: Opened | null = null;
let writtenSincePrune = 0;
let rowsInLog = 0;
let groupsInLog = 0;

port.on("message", (job: RequestJob) => {
  try {
    if (job === "end") end();
    else if (job === "checkpoint") checkpoint();
    else if (Atomics.load(state, PHASE) !== GIVEN_UP) write(open(), job);
  } catch (error) {
    port.postMessage({ rows: typeof job === "string" ? 0 : job.length / COLUMNS.length, error } satisfies RowsLost);
  }
  Atomics.add(state, DONE, 1);
  Atomics.notify(state, DONE);
  // It waits for the disk, and the rows are written already.
  if (rowsInLog >= LOG_ROWS || groupsInLog >= LOG_GROUPS) checkpoint();
});

/**
 * Its commits are in the system's hands, so that the end of the process loses none, but wait for no disk
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
function open(): Opened {
  if (opened !== null) return opened;
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  database.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;");
  opened = {
    database,
    insertMany: database.prepare(insertOf(INSERT_ROWS)),
    insertOne: database.prepare(insertOf(1)),
    prune: database.prepare("DELETE FROM requests WHERE number <= (SELECT max(number) FROM requests) - ?"),
  };
  return opened;
}

function insertOf(rows: number): string {
  const row = `(${COLUMNS.map(() => "?").join(", ")})`;
  return `INSERT INTO requests (${COLUMNS.join(", ")}) VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

function write({ database, insertMany, insertOne, prune }: Opened, group: readonly RowValue[]): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    let at = 0;
    for (; at + MANY_VALUES <= group.length; at += MANY_VALUES) insertMany.run(...group.slice(at, at + MANY_VALUES));
    for (; at < group.length; at += COLUMNS.length) insertOne.run(...group.slice(at, at + COLUMNS.length));
    const rows = group.length / COLUMNS.length;
    writtenSincePrune += rows;
    if (writtenSincePrune >= PRUNE_EVERY) {
      prune.run(REQUESTS_KEPT);
      writtenSincePrune = 0;
    }
    // Whoever has told that rows are lost does not find them written.
    if (Atomics.compareExchange(state, PHASE, OPEN, COMMITTING) !== OPEN) return;
    database.exec("COMMIT");
    rowsInLog += rows;
    groupsInLog += 1;
  } finally {
    Atomics.compareExchange(state, PHASE, COMMITTING, OPEN);
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

function checkpoint(): void {
  [rowsInLog, groupsInLog] = [0, 0];
  try {
    open().database.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch {
    // What cannot be copied now, to a full disk for one, is later: here, or by whoever commits. The rows that come go on.
  }
}

function end(): void {
  opened?.database.close();
  opened = null;
  port.close();
}
