import { Deadline, waitForProcessEnd } from "@queen-and-hive/daemon";
import { endProcesses } from "../process/end-processes.ts";
import { type FoundProcess, findOurs, type KnownProcesses } from "../process/find-ours.ts";
import { type RecoveredWorker, recoverWorker } from "./recovery.ts";
import type { RecoveryReport } from "./supervision.ts";
import type { Worker } from "./worker.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Adopts what lives, ends what nobody wants, and lets every worker of the ledger go on. Throws `storage_failed`. */
export async function recoverAll(context: WorkerContext, keep: (worker: Worker) => void): Promise<RecoveryReport> {
  const { clock, log } = context.options;
  const { entries, losses } = context.ledger.load();
  const recovered = entries.map((entry) => recoverWorker(context, entry, entry.worker_id));
  for (const { worker } of recovered) keep(worker);
  // A shim whose engine has just ended is about to write the status down.
  await Promise.all(
    recovered.flatMap(({ shim }) => (shim === null ? [] : [waitForProcessEnd(shim, Deadline.in(SHIM_END_MS, clock), clock)])),
  );
  const reaped = await reapUnwanted(context, recovered);
  await context.ledger.removeStrays();
  context.cgroups.removeStrays();
  const outcomes = await Promise.allSettled(recovered.map(({ goOn }) => goOn()));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") log.error("cannot go on with a worker of the ledger", { error: outcome.reason });
  }
  const count = (as: RecoveredWorker["as"]): number => recovered.filter((one) => one.as === as).length;
  return { adopted: count("adopted"), reaped: reaped + count("stopping"), ended: count("ended"), losses };
}

/** How long a shim may take to write the status down and end. */
const SHIM_END_MS = 2_000;
/** How long a process without a record gets after TERM; nobody waits for what it could still say. */
const UNWANTED_TERM_MS = 1_000;

/** Ends our processes that belong to no live worker; returns how many are gone. */
async function reapUnwanted(context: WorkerContext, recovered: readonly RecoveredWorker[]): Promise<number> {
  const { stateId, clock, config, log } = context.options;
  const known = new Map<string, KnownProcesses>(recovered.map(({ worker }) => [worker.facts.workerId, worker.known]));
  const spared = new Set<string>(
    recovered.filter(({ as }) => as === "adopted" || as === "stopping").map(({ worker }) => worker.facts.workerId),
  );
  const find = (): readonly FoundProcess[] =>
    findOurs({ stateId, workersDir: context.ledger.dir, inCgroups: context.cgroups.members() }, known).filter(
      ({ workerId }) => !spared.has(workerId),
    );
  const unwanted = find();
  if (unwanted.length === 0) return 0;
  log.warn("processes of earlier workers are ended", { pids: unwanted.map(({ identity }) => identity.pid) });
  const termMs = Math.min(UNWANTED_TERM_MS, config.stop.termMs);
  const deadline = Deadline.in(termMs + config.stop.verifyMs, clock);
  const { left } = await endProcesses({
    process: null,
    find,
    termMs,
    verifyMs: config.stop.verifyMs,
    deadline: () => deadline,
    clock,
  });
  if (left.length > 0)
    log.error("processes of earlier workers survived KILL", { pids: left.map(({ identity }) => identity.pid) });
  return Math.max(0, unwanted.length - left.length);
}
