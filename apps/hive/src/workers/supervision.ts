import type { Broadcast, Deadline } from "@queen-and-hive/daemon";
import type {
  CallbackAnswer,
  HiveShutdownAnswer,
  SpawnRequest,
  StopStep,
  WorkerExited,
  WorkerId,
  WorkerReady,
  WorkerReadyCallback,
  WorkerRecord,
  WorkerStopAnswer,
} from "@queen-and-hive/protocol";

/** What happened to the workers of the ledger when the daemon started. */
export interface RecoveryReport {
  readonly adopted: number;
  /** Processes of ours that no record wanted, or whose record said stop, and that are gone now. */
  readonly reaped: number;
  /** Workers whose process had ended while no daemon was there; their exit is reported. */
  readonly ended: number;
  /** What was lost with a damaged file, as sentences for people; empty in a healthy start. */
  readonly losses: readonly string[];
}

/** What the supervisor says about one worker, in order: once per transition, and when what it says of its loading changes. */
export interface WorkerChange {
  readonly record: WorkerRecord;
  /** True when this was the last word: the worker has left the list. */
  readonly removed: boolean;
}

/** One step of a stop, once it is over. */
export interface WorkerStep {
  readonly workerId: WorkerId;
  readonly incarnation: number;
  readonly step: StopStep;
  readonly outcome: "ok" | "over" | "left";
  readonly durationMs: number;
  readonly pids: readonly number[];
  /** Why it is as it is, where that is not plain. */
  readonly reason?: string;
}

/** A ready message before the outbox numbers it. */
export type WorkerReadyNotice = Omit<WorkerReady, "hive_id" | "hive_epoch" | "sequence" | "delivery_attempt"> & {
  readonly queen_id: string;
};

/** An exit message before the outbox numbers it. */
export type WorkerExitNotice = Omit<WorkerExited, "hive_id" | "hive_epoch" | "sequence"> & { readonly queen_id: string };

/** Where the supervisor leaves messages for the queen; durable when the promise resolves. */
export interface Notices {
  workerReady(notice: WorkerReadyNotice): Promise<void>;
  workerExited(notice: WorkerExitNotice): Promise<void>;
}

/** The hive's keeper of worker processes: one writer per worker, every process known by identity. */
export interface Supervision extends AsyncDisposable {
  /** Adopts, reaps and sweeps after the ledger; must end before the daemon says that it listens. */
  recover(): Promise<RecoveryReport>;
  /** Idempotent by worker id and spec. Throws the QhError kinds of `POST /v1/workers`. */
  spawn(request: SpawnRequest): Promise<{ readonly record: WorkerRecord; readonly created: boolean }>;
  list(): readonly WorkerRecord[];
  get(workerId: WorkerId): WorkerRecord | null;
  /** Resolves when the worker's processes are gone by identity and its port is free. Throws `worker_not_found`, `stop_failed`. */
  stop(workerId: WorkerId, deadline: Deadline): Promise<WorkerStopAnswer>;
  /** Stops every worker in parallel and refuses new spawns from now on. Never throws: what is left is said as `left`. */
  stopAll(deadline: Deadline): Promise<HiveShutdownAnswer["workers"]>;
  /** Requests to the worker get no answer: only a token proves it now. Throws `worker_not_found`. */
  doubt(workerId: WorkerId): void;
  /** Gives a serving worker nothing new from now on, until it is stopped. Throws `worker_not_found`. */
  drain(workerId: WorkerId): Promise<WorkerRecord>;
  /** A worker's own ready callback with its token. Throws `unauthenticated`, `forbidden`, `worker_not_found`, `stale_incarnation`. */
  acceptReady(callback: WorkerReadyCallback, token: string | null): Promise<CallbackAnswer>;
  /** The last lines of the worker's output, over earlier starts where it has not written that much. Throws `worker_not_found`. */
  logTail(workerId: WorkerId, lines: number): Promise<readonly string[]>;
  /** The same, and then whatever it writes, until the signal or until the worker has left the list. Throws `worker_not_found`. */
  followLog(workerId: WorkerId, lines: number, signal: AbortSignal): AsyncIterable<string | Buffer>;
  /** Every transition of every worker. */
  readonly changes: Broadcast<WorkerChange>;
  /** Every step of every stop. */
  readonly steps: Broadcast<WorkerStep>;
}
