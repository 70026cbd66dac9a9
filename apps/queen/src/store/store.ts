import type { Broadcast } from "@queen-and-hive/daemon";
import type { HiveIdentity, HiveState, JournalEvent, WorkerRecord, WorkerSpec } from "@queen-and-hive/protocol";
import type { SshReach } from "../config/ssh-reach.ts";
import type { MessagePosition } from "../domain/callback-freshness.ts";

/** Files of ours on a host, by SHA-256. */
export interface InstalledFiles {
  readonly hive: string;
  /** The bundle of the embedded worker; null when there is none. */
  readonly worker: string | null;
}

/** An operator's order to stop a hive, with its workers or without them, or to end its daemon and start it again. */
export type HiveOrder = "stop" | "keep" | "restart";

/** A hive in the registry. */
export interface HiveRow {
  readonly hiveId: string;
  readonly state: HiveState;
  /** ISO 8601; when `state` began. */
  readonly since: string;
  /** The daemon last known; null before the first. */
  readonly identity: HiveIdentity | null;
  readonly restarts: number;
  readonly lastError: string | null;
  /** Where the hive keeps its state on its host, so that it can be found again without its configuration. */
  readonly stateDir: string | null;
  /** How its host is reached; null or absent for this machine. */
  readonly reach?: SshReach | null;
  /** Where its program is installed; null or absent for this checkout's. */
  readonly installDir?: string | null;
  /** What was brought there and found in place; a start that finds no program there looks again. */
  readonly installed?: InstalledFiles | null;
  /** The last announcement of this hive that took effect. */
  readonly last: MessagePosition | null;
  /** An operator stopped it: no queen starts it before an operator does. */
  readonly stoppedByOperator?: boolean;
  /** Nothing of it is left on its host, which was proven when it was stopped; anything that happens since takes this back. */
  readonly isEmpty?: boolean;
  /** What an operator has ordered and no queen has brought to its end yet: the next queen does. Null when there is nothing. */
  readonly order?: HiveOrder | null;
  /** An operator drained it: it gets no work before an operator resumes it. */
  readonly isDrained?: boolean;
  /** Since when others may stand in for its workers, ISO 8601: until it is back and they have ended. Null when nobody does. */
  readonly replacedSince?: string | null;
}

/** A worker in the registry. */
export interface WorkerRow {
  readonly record: WorkerRecord;
  readonly spec: WorkerSpec | null;
  /** False once it was decided that it has to end: it is stopped wherever it shows up. */
  readonly wanted: boolean;
  /** The newest incarnation whose end was reported; 0 before the first. */
  readonly exitedIncarnation: number;
  /** The last message about this worker that took effect. */
  readonly last: MessagePosition | null;
  /** ISO 8601; when the queen decided on it. */
  readonly decidedAt: string;
}

/** A journal entry before the store numbers and dates it. */
export type JournalEntry = Omit<JournalEvent, "sequence" | "time">;

/** What one durable transaction changes; the journal entries are written with it or not at all. */
export interface LifecycleChange {
  readonly hives?: readonly HiveRow[];
  readonly removeHives?: readonly string[];
  readonly workers?: readonly WorkerRow[];
  readonly removeWorkers?: readonly string[];
  readonly events: readonly JournalEntry[];
}

/** One ended request, for accounting. */
export interface RequestRow {
  readonly request_id: string;
  readonly model: string | null;
  readonly route: string;
  readonly status: number;
  readonly worker_id: string | null;
  readonly hive_id: string | null;
  readonly attempts: number;
  readonly queue_ms: number;
  readonly ttft_ms: number | null;
  readonly duration_ms: number;
  readonly error_kind?: string | null;
  readonly prompt_tokens?: number | null;
  readonly completion_tokens?: number | null;
}

/**
 * The queen's registry and journal. Lifecycle changes are on disk when `commit` returns; request rows follow, in groups of 100 ms.
 * Every method that writes throws `storage_failed` when the disk does not take it.
 */
export interface Store extends Disposable {
  /** What was lost with a damaged database, as sentences for people; empty in a healthy start. */
  readonly losses: readonly string[];
  hives(): readonly HiveRow[];
  workers(): readonly WorkerRow[];
  commit(change: LifecycleChange): readonly JournalEvent[];
  /** Journal entries after a sequence, oldest first. */
  journalAfter(sequence: number, limit: number): readonly JournalEvent[];
  /** The newest journal entries, oldest first. */
  journalNewest(limit: number): readonly JournalEvent[];
  /** Every journal entry after it is on disk. */
  readonly journaled: Broadcast<JournalEvent>;
  /** Keeps the row of an ended request; written in groups. */
  recordRequest(row: RequestRow): void;
  /** Writes what `recordRequest` has gathered. */
  flushRequests(): void;
}
