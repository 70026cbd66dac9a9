// The thread that writes the rows of ended requests and copies the write-ahead log into the database: a disk that takes its time,
// or another program that holds the database, keeps nobody waiting but this thread. It loads next to nothing, to be small.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type MessagePort, workerData } from "node:worker_threads";
import { COLUMNS, type RowValue } from "./request-rows.ts";

/** What the thread is given. */
export interface RequestThreadData {
  /** The database file. */
  readonly path: string;
  /** Brings the jobs; takes what was lost. */
  readonly port: MessagePort;
  /** Its only number counts the jobs that are over. */
  readonly done: Int32Array<SharedArrayBuffer>;
}

/** Rows to write, their values one behind the other; or what else there is to do. */
export type RequestThreadJob = readonly RowValue[] | "checkpoint" | "end";

/** Rows that the database did not take. */
export interface RowsLost {
  readonly rows: number;
  readonly error: unknown;
}

/** So many rows go into one INSERT, which costs fewer calls than one each; more at once make it no cheaper. */
const INSERT_ROWS = 16;
const MANY_VALUES = INSERT_ROWS * COLUMNS.length;
/** How many request rows are kept; older ones are removed once per PRUNE_EVERY. */
const REQUESTS_KEPT = 100_000;
const PRUNE_EVERY = 500;
/** How long a statement waits for others who use the database, milliseconds. */
const BUSY_TIMEOUT_MS = 10_000;

interface Opened {
  readonly database: DatabaseSync;
  readonly insertMany: StatementSync;
  readonly insertOne: StatementSync;
  readonly prune: StatementSync;
}

const { path, port, done } = workerData as RequestThreadData;
let opened: Opened | null = null;
let written = 0;

port.on("message", (job: RequestThreadJob) => {
  try {
    if (job === "end") end();
    else if (job === "checkpoint") open().database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    else write(open(), job);
  } catch (error) {
    port.postMessage({ rows: typeof job === "string" ? 0 : job.length / COLUMNS.length, error } satisfies RowsLost);
  }
  Atomics.add(done, 0, 1);
  Atomics.notify(done, 0);
});

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
    database.exec("COMMIT");
  } finally {
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}

function end(): void {
  opened?.database.close();
  opened = null;
  port.close();
}
