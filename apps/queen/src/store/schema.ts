import type { DatabaseSync } from "node:sqlite";
import { QhError } from "@queen-and-hive/protocol";

/**
 * Every version of the database, oldest first; a database of version n lacks the steps from index n on. Rows hold their
 * facts as JSON beside the columns that are searched for, so that a new optional field needs no migration.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE hives (
    hive_id TEXT PRIMARY KEY,
    row TEXT NOT NULL
  ) STRICT;
  CREATE TABLE workers (
    worker_id TEXT PRIMARY KEY,
    hive_id TEXT NOT NULL,
    row TEXT NOT NULL
  ) STRICT;
  CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    event TEXT NOT NULL
  ) STRICT;
  CREATE TABLE requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    request_id TEXT NOT NULL,
    model TEXT,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,
    worker_id TEXT,
    hive_id TEXT,
    attempts INTEGER NOT NULL,
    queue_ms REAL NOT NULL,
    ttft_ms REAL,
    duration_ms REAL NOT NULL,
    error_kind TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER
  ) STRICT;
  `,
];

/** Brings a database to the newest version, each step in a transaction. Throws `storage_failed` for a newer database. */
export function migrate(database: DatabaseSync): void {
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new QhError(
      "storage_failed",
      `cannot read a registry of version ${version}, this queen knows versions up to ${MIGRATIONS.length}: use the newer queen that wrote it`,
    );
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${step} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
