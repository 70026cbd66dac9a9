import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setAside } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { migrate } from "./schema.ts";

/** An open database and what was lost on the way to it. */
export interface OpenDatabase {
  readonly database: DatabaseSync;
  readonly losses: readonly string[];
}

/**
 * Opens the queen's database in WAL mode with `synchronous=FULL`. A damaged one is set aside whole and a new one begun; the
 * losses say so. Another thread copies the write-ahead log into it (store/request-thread.ts); while that does not come to it,
 * whoever commits does so at LOG_PAGES_MAX. Throws `storage_failed` when the place itself cannot be written.
 */
export function openDatabase(path: string): OpenDatabase {
  try {
    return { database: openChecked(path), losses: [] };
  } catch (error) {
    if (!isDamage(error)) throw asStorageFailure(path, error);
    const kept = [path, `${path}-wal`, `${path}-shm`].filter((file) => existsSync(file)).map((file) => setAside(file));
    const losses = [
      `the registry ${path} was damaged (${messageOf(error)}) and is kept aside as ${kept[0] ?? path}: ` +
        "the journal, the request rows and the list of workers begin anew; hives and their workers are found again by adoption",
    ];
    return { database: openChecked(path), losses };
  }
}

function openChecked(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${LOG_PAGES_MAX}; PRAGMA foreign_keys = ON;`,
    );
    const verdict = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (verdict !== "ok") throw new DamagedDatabase(String(verdict));
    migrate(database);
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const missing = TABLES.filter((table) => !tables.some((row) => row["name"] === table));
    if (missing.length > 0) throw new DamagedDatabase(`the tables ${missing.join(", ")} are missing`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Pages of 4 KiB; the thread does it at 1,000. */
const LOG_PAGES_MAX = 4_000;

/** How long a statement waits for others who write to the database, milliseconds. */
const BUSY_TIMEOUT_MS = 2_000;

const TABLES = ["hives", "workers", "journal", "requests"];

/** SQLite's result codes of a damaged file: SQLITE_CORRUPT, SQLITE_NOTADB (https://www.sqlite.org/rescode.html). */
const DAMAGE_CODES: readonly number[] = [11, 26];

class DamagedDatabase extends Error {}

function isDamage(error: unknown): boolean {
  if (error instanceof DamagedDatabase) return true;
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
  return DAMAGE_CODES.includes(error.errcode & 0xff);
}

/** A failure of the database -> the QhError that says so. */
export function asStorageFailure(path: string, error: unknown): QhError {
  if (error instanceof QhError) return error;
  return new QhError(
    "storage_failed",
    `cannot use the registry ${path} (${messageOf(error)}): look at the disk and its free space`,
    {
      cause: error,
    },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
