import type { Log } from "@queen-and-hive/daemon";
import type { QhError, WorkerRecord } from "@queen-and-hive/protocol";
import type { JournalEntry } from "../store/store.ts";

/** Why and by whom a transition happens, for the journal. */
export interface TransitionNote {
  readonly actor: string;
  readonly cause?: string;
  /** Journal entries beside the one of the state change. */
  readonly events?: readonly JournalEntry[];
  /** For clients whose request was on the worker when it is lost by this. */
  readonly lost?: QhError;
  /** Called once it is on disk, before anybody hears of it. */
  readonly onRecorded?: () => void;
}

/** The journal entry of a worker's move from one state or incarnation to another; none when it did not move. */
export function workerStateEntries(before: WorkerRecord | null, after: WorkerRecord, note: TransitionNote): JournalEntry[] {
  if (!isMove(before, after)) return [];
  return [
    {
      kind: "worker.state",
      actor: note.actor,
      hive_id: after.hive_id,
      worker_id: after.worker_id,
      ...(before === null ? {} : { from: before.state }),
      to: after.state,
      ...(note.cause === undefined ? {} : { cause: note.cause }),
      details: { model: after.model, incarnation: after.incarnation, ...(after.pid === null ? {} : { pid: after.pid }) },
    },
  ];
}

/** Says a worker's move in the log: trouble as a warning, with why. */
export function logWorkerState(log: Log, before: WorkerRecord | null, after: WorkerRecord, note: TransitionNote): void {
  if (!isMove(before, after)) return;
  const { state, model, worker_id, hive_id, pid } = after;
  const isTrouble = state === "crashed" || state === "hung" || state === "backing_off" || state === "failed";
  log[isTrouble ? "warn" : "info"](`a worker of ${model} is ${state.replaceAll("_", " ")}`, {
    worker_id,
    hive_id,
    ...(pid === null ? {} : { pid }),
    ...(before === null ? {} : { from: before.state }),
    ...(note.cause === undefined ? {} : { cause: note.cause }),
    ...(isTrouble && after.exit?.exit_code != null ? { exit_code: after.exit.exit_code } : {}),
  });
}

function isMove(before: WorkerRecord | null, after: WorkerRecord): boolean {
  return before?.state !== after.state || before.incarnation !== after.incarnation;
}
