import { Deadline, waitForProcessEnd } from "@queen-and-hive/daemon";
import { endProcesses } from "../process/end-processes.ts";
import { findInTime } from "../process/find-in-time.ts";
import { type FoundProcess, findOurs, type KnownProcesses } from "../process/find-ours.ts";
import { SHIM_END_MS } from "../process/shim.ts";
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
    recovered.map(async ({ shim }) => {
      if (shim === null) return;
      await waitForProcessEnd(shim, Deadline.in(SHIM_END_MS, clock), clock).catch((error: unknown) =>
        log.warn("cannot wait for the end of a worker's shim; its exit status may be unknown", { error, pid: shim.pid }),
      );
    }),
  );
  const { reaped, left } = await reapUnwanted(context, recovered);
  const strays = await context.ledger.removeStrays();
  // Those of workers that have ended meanwhile say whether the kernel killed them: `goOn` asks.
  context.cgroups.removeStrays(
    new Set(recovered.filter(({ as }) => as !== "waiting").map(({ worker }) => worker.facts.workerId)),
  );
  if (left !== null) closeDevices(context, recovered, left);
  const hasLeftovers = (workerId: string): boolean => left === null || left.some((process) => process.workerId === workerId);
  const outcomes = await Promise.allSettled(recovered.map(({ worker, goOn }) => goOn(hasLeftovers(worker.facts.workerId))));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") log.error("cannot go on with a worker of the ledger", { error: outcome.reason });
  }
  const count = (as: RecoveredWorker["as"]): number => recovered.filter((one) => one.as === as).length;
  return { adopted: count("adopted"), reaped: reaped + count("stopping"), ended: count("ended"), losses: [...losses, ...strays] };
}

/** How long looking for them is tried again. */
const UNWANTED_LOOK_MS = 1_000;
/** How long a process without a record gets after TERM; nobody waits for what it could still say. */
const UNWANTED_TERM_MS = 1_000;
/** How long their end is verified while the daemon's own start waits; for what is left then, its worker waits instead. */
const UNWANTED_VERIFY_MS = 2_000;

interface Reaped {
  /** How many are gone. */
  readonly reaped: number;
  /** Null: nobody could look, so that each worker may have left something. */
  readonly left: readonly FoundProcess[] | null;
}

/** Ends our processes that belong to no live worker. */
async function reapUnwanted(context: WorkerContext, recovered: readonly RecoveredWorker[]): Promise<Reaped> {
  const { stateId, clock, config, log } = context.options;
  const known = new Map<string, KnownProcesses>(recovered.map(({ worker }) => [worker.facts.workerId, worker.known]));
  const spared = new Set<string>(
    recovered.filter(({ as }) => as === "adopted" || as === "stopping").map(({ worker }) => worker.facts.workerId),
  );
  const find = (): readonly FoundProcess[] =>
    findOurs({ stateId, workersDir: context.ledger.dir, inCgroups: context.cgroups.members() }, known).filter(
      ({ workerId }) => !spared.has(workerId),
    );
  const looked = await findInTime(find, UNWANTED_LOOK_MS, clock);
  if ("error" in looked) {
    // A hive that does not start supervises nobody: what is left keeps only its own worker from starting.
    log.error("cannot look for the processes of earlier workers; each worker looks for its own before it starts", looked);
    return { reaped: 0, left: null };
  }
  const unwanted = looked.found;
  if (unwanted.length === 0) return { reaped: 0, left: [] };
  log.warn("processes of earlier workers are ended", { pids: unwanted.map(({ identity }) => identity.pid) });
  const termMs = Math.min(UNWANTED_TERM_MS, config.stop.termMs);
  const verifyMs = Math.min(UNWANTED_VERIFY_MS, config.stop.verifyMs);
  const deadline = Deadline.in(termMs + verifyMs, clock);
  const left = await endProcesses({ process: null, find, termMs, verifyMs, deadline: () => deadline, clock }).then(
    (result) => result.left,
    (error: unknown) => {
      log.error("cannot end the processes of earlier workers", { error });
      return unwanted;
    },
  );
  if (left.length > 0)
    log.error("processes of earlier workers survived KILL", { pids: left.map(({ identity }) => identity.pid) });
  context.desk.freed();
  return { reaped: Math.max(0, unwanted.length - left.length), left };
}

/** Closes the devices that something still holds. */
function closeDevices({ quarantine }: WorkerContext, recovered: readonly RecoveredWorker[], left: readonly FoundProcess[]): void {
  for (const { worker } of recovered) {
    const { workerId, devices } = worker.facts;
    const own = left.filter((process) => process.workerId === workerId).map(({ identity }) => identity);
    if (own.length > 0) quarantine.close(devices, workerId, own);
  }
}
