import { Deadline, isProcessAlive, type ProcessIdentity } from "@queen-and-hive/daemon";
import type { WorkerExit, WorkerId } from "@queen-and-hive/protocol";
import { UNKNOWN_STATUS } from "../domain/exit-status.ts";
import type { WorkerEffect, WorkerPhase } from "../domain/worker-states.ts";
import { readExitStatus } from "../process/exit-file.ts";
import type { LedgerEntry, LedgerPhase } from "../store/ledger-entry.ts";
import { factsOf, lifeOf } from "./ledger-mapping.ts";
import { Worker } from "./worker.ts";
import type { WorkerContext } from "./worker-context.ts";

/** What becomes of a worker of the ledger. */
export type RecoveredAs = "adopted" | "ended" | "waiting" | "stopping";

/** A worker that was found again, and how to let it go on. */
export interface RecoveredWorker {
  readonly worker: Worker;
  readonly as: RecoveredAs;
  /** The shim of a process that ended while no daemon was there; null otherwise. */
  readonly shim: ProcessIdentity | null;
  /** To be called once what earlier processes left behind has been cleared; `hasLeftovers`: as far as it could be. */
  readonly goOn: (hasLeftovers: boolean) => Promise<void>;
}

/**
 * Finds a worker of the ledger again: a live process is adopted in its state, an end that nobody saw is reported, a start
 * that was never finished is made anew, and what was being stopped is stopped.
 */
export function recoverWorker(context: WorkerContext, entry: LedgerEntry, workerId: WorkerId): RecoveredWorker {
  const facts = factsOf(entry, workerId);
  const { clock } = context.options;
  const isLive = entry.process !== null && isProcessAlive(entry.process.engine);
  const phase = phaseOf(context, entry, isLive);
  const worker = new Worker(context, lifeOf(entry, phase), facts);
  // Keys tell processes apart within one boot only.
  worker.recall(entry.boot_id === context.bootId ? (entry.descendants ?? []) : []);
  const as = isStopWanted(entry) ? "stopping" : isLive ? "adopted" : entry.process === null ? "waiting" : "ended";
  const { incarnation } = entry;
  const moment = () => ({ atMs: clock.nowMs(), random: Math.random() });
  const goOn = async (hasLeftovers: boolean): Promise<void> => {
    const stopped = as === "stopping" ? worker.stop(Deadline.in(STOP_MS, clock)) : null;
    // Nothing may run twice: it waits for its next start only once what is left of the last one is gone.
    const mustClear = as === "waiting" && hasLeftovers;
    await worker.resume(mustClear ? [] : effectsOf(phase, isLive));
    if (mustClear) await worker.tell({ type: "leftovers_found", incarnation });
    if (as === "ended" && phase.name !== "stopping")
      await worker.tell({ type: "process_ended", incarnation, exit: endOf(context, entry, worker), ...moment() });
    await stopped;
  };
  return { worker, as, shim: as === "ended" ? (entry.process?.shim ?? null) : null, goOn };
}

function phaseOf({ options }: WorkerContext, entry: LedgerEntry, isLive: boolean): WorkerPhase {
  const { process, ready } = entry;
  const stopping = { name: "stopping", launching: false, stuck: false } as const;
  if (isStopWanted(entry)) return { ...stopping, reason: "operator", process: isLive ? process : null, readyAtMs: null };
  if (entry.phase === "stopping") {
    // Begun by the last daemon itself, for a reason that outlives it; older ones did not say which.
    const readyAtMs = entry.ready_at === null ? null : Date.parse(entry.ready_at);
    return { ...stopping, reason: entry.stop_reason ?? (readyAtMs === null ? "start_silent" : "hung"), process, readyAtMs };
  }
  if (process === null) {
    const name = entry.phase === "failed" ? "failed" : "backing_off";
    const dueMs = entry.retry_at_ms ?? (name === "failed" ? Number.POSITIVE_INFINITY : 0);
    return { name, exit: entry.last_exit ?? NEVER_RAN, waitMs: Math.max(0, dueMs - options.clock.nowMs()) };
  }
  if (isServing(entry.phase) && ready !== null && entry.ready_at !== null) {
    return { name: entry.phase, process, facts: ready, readyAtMs: Date.parse(entry.ready_at) };
  }
  // Its ready was heard, and it was being asked for a first token.
  const warming = entry.phase === "loading" && ready !== null ? { facts: ready, atMs: Date.parse(entry.since) } : null;
  return { name: "loading", process, warming };
}

/** Only an operator's word stops what has no process: a worker that was drained and has ended. */
function isStopWanted({ stop_wanted, stop_reason, phase, process }: LedgerEntry): boolean {
  return stop_wanted || (phase === "stopping" && (process === null || stop_reason === "operator"));
}

function effectsOf(phase: WorkerPhase, isLive: boolean): readonly WorkerEffect[] {
  if (phase.name === "stopping") return [{ type: "end_process" }];
  if (phase.name === "backing_off" || phase.name === "failed") return [{ type: "wait", ms: phase.waitMs }];
  if (!isLive) return [];
  switch (phase.name) {
    case "loading":
      return [
        { type: "watch", process: phase.process, untilReady: true },
        ...(phase.warming === null ? [] : [{ type: "warm_up" } as const]),
      ];
    case "ready":
    case "hung":
      return [{ type: "watch", process: phase.process, untilReady: false }, { type: "watch_health" }];
    case "draining":
      return [{ type: "watch", process: phase.process, untilReady: false }];
    default:
      return [];
  }
}

function isServing(phase: LedgerPhase): phase is "ready" | "hung" | "draining" {
  return phase === "ready" || phase === "hung" || phase === "draining";
}

function endOf({ bootId, options }: WorkerContext, entry: LedgerEntry, worker: Worker): WorkerExit {
  if (entry.process?.engine.boot_id !== bootId) return { ...worker.describeEnd(UNKNOWN_STATUS), cause: "host_rebooted" };
  return worker.describeEnd(readExitStatus(worker.paths.exit(entry.incarnation), options.log));
}

/** What a stop that the last daemon did not finish may still take: the worker has had its TERM. */
const STOP_MS = 3_000;
/** A start that the last daemon did not finish. */
const NEVER_RAN: WorkerExit = { exit_code: null, signal: null, cause: "unknown", log_tail: [] };
