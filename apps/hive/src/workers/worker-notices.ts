import type { WorkerExit } from "@queen-and-hive/protocol";
import type { ReadyFacts, WorkerProcess } from "../domain/worker-states.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";
import { timeText } from "./worker-record.ts";

/** Which incarnation of which worker a notice is about. */
interface Subject {
  readonly facts: WorkerFacts;
  readonly incarnation: number;
}

/** Puts "ready" on disk for the queen. Throws `storage_failed`. */
export async function sayReady(
  { options }: WorkerContext,
  { facts, incarnation }: Subject,
  process: WorkerProcess,
  ready: ReadyFacts,
): Promise<void> {
  const nowMs = options.clock.nowMs();
  await options.notices.workerReady({
    ...ready,
    worker_id: facts.workerId,
    queen_id: facts.queenId,
    incarnation,
    pid: process.engine.pid,
    start_time: process.engine.start_time,
    spawned_at: timeText(facts.spawnedAtMs ?? nowMs),
    ready_at: timeText(nowMs),
  });
}

/**
 * Counts, logs and puts "exited" on disk for the queen. False when it is not there, on a full disk or while the daemon ends:
 * that never costs the reaction.
 */
export async function sayExited(
  { options, counts }: WorkerContext,
  { facts, incarnation }: Subject,
  exit: WorkerExit,
  willRestart: boolean,
): Promise<boolean> {
  const { notices, log } = options;
  const { workerId, queenId } = facts;
  counts.exited(exit);
  log.info("a worker ended", {
    worker_id: workerId,
    incarnation,
    exit_code: exit.exit_code,
    signal: exit.signal,
    cause: exit.cause,
    will_restart: willRestart,
  });
  try {
    await notices.workerExited({ worker_id: workerId, queen_id: queenId, incarnation, ...exit, will_restart: willRestart });
    return true;
  } catch (error) {
    log.error("cannot keep the message of a worker's end on disk; the next snapshot shows it to the queen", {
      error,
      worker_id: workerId,
    });
    return false;
  }
}
