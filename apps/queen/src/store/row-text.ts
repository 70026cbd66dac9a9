import type { JournalEvent } from "@queen-and-hive/protocol";
import type { HiveRow, JournalEntry, WorkerRow } from "./store.ts";

/** The text that we wrote of a hive -> the hive. The database's own checks stand for its integrity. */
export function parseHiveRow(text: unknown): HiveRow {
  return parseObject(text) as HiveRow;
}

/** The text that we wrote of a worker -> the worker. */
export function parseWorkerRow(text: unknown): WorkerRow {
  return parseObject(text) as WorkerRow;
}

/** The columns of a journal entry -> the event. */
export function parseJournalEvent(sequence: unknown, time: unknown, text: unknown): JournalEvent {
  return { sequence: Number(sequence), time: String(time), ...(parseObject(text) as JournalEntry) };
}

function parseObject(text: unknown): unknown {
  const value: unknown = typeof text === "string" ? JSON.parse(text) : null;
  if (typeof value !== "object" || value === null) throw new TypeError(`a row of the registry is not an object: ${String(text)}`);
  return value;
}
