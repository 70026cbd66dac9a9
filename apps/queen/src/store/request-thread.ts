// The thread that writes the rows of ended requests and copies the write-ahead log into the database: a disk that takes its time,
// or another program that holds the database, keeps nobody waiting but this thread. It loads next to nothing, to be small.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { workerData } from "node:worker_threads";
import { DONE, GIVEN_UP, type RequestJob, type RequestThreadData, type RowsLost } from "./request-job.ts";
import { COLUMNS, type RowValue } from "./request-rows.ts";

/** So many rows go into one INSERT, which costs fewer calls than one each; more at once make it no cheaper. */
const INSERT_ROWS = 16;
const MANY_VALUES = INSERT_ROWS * COLUMNS.length;
/** How many request rows are kept; older ones are removed once per PRUNE_EVERY. */
const REQUESTS_KEPT = 100_000;
const PRUNE_EVERY = 500;
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
let written = 0;

port.on("message", (job: RequestJob) => {
  try {
    if (job === "end") end();
    else if (job === "checkpoint") open().database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    else if (!isGivenUp()) write(open(), job);
  } catch (error) {
    port.postMessage({ rows: typeof job === "string" ? 0 : job.length / COLUMNS.length, error } satisfies RowsLost);
  }
  Atomics.add(state, DONE, 1);
  Atomics.notify(state, DONE);
});

/** Whoever has told that rows are lost does not find them written. */
function isGivenUp(): boolean {
  return Atomics.load(state, GIVEN_UP) === 1;
}

/**
 * Its commits are in the system's hands, so that the end of the process loses none, but wait for no disk
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
function open(): Opened {
  if (opened !== null) return opened;
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  database.exec("PRAGMA synchronous = NORMAL;");
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
    written += group.length / COLUMNS.length;
    if (written >= PRUNE_EVERY) {
      prune.run(REQUESTS_KEPT);
      written = 0;
    }
    if (!isGivenUp()) database.exec("COMMIT");
  } finally {
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

function end(): void {
  opened?.database.close();
  opened = null;
  port.close();
}
