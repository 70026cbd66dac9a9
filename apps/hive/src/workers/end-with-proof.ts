import { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { WorkerProcess } from "../domain/worker-states.ts";
import { type EndedHow, endProcesses } from "../process/end-processes.ts";
import type { KnownProcesses } from "../process/find-ours.ts";
import { isPortFree } from "../process/ports.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** Whose processes to end. */
export interface EndingParts {
  readonly context: WorkerContext;
  readonly facts: WorkerFacts;
  readonly process: WorkerProcess | null;
  readonly known: KnownProcesses;
  readonly deadline: () => Deadline;
}

/** Ends every process of a worker and proves it: gone by identity, ports free. Throws `stop_failed`, naming what is left. */
export async function endWithProof(parts: EndingParts): Promise<EndedHow> {
  const { context, facts, process, known, deadline } = parts;
  const { config, clock, log } = context.options;
  const termS = facts.spec.runtime.stop?.term_s ?? null;
  const result = await endProcesses({
    process,
    find: () => context.find(facts.workerId, known),
    termMs: termS === null ? config.stop.termMs : termS * 1_000,
    verifyMs: config.stop.verifyMs,
    deadline,
    clock,
  });
  if (result.left.length > 0) {
    const pids = result.left.map(({ identity }) => identity.pid);
    throw new QhError(
      "stop_failed",
      `cannot stop ${facts.workerId}: ${pids.length === 1 ? "process" : "processes"} ${pids.join(", ")} survived KILL (a device or a file system may not answer); look at the machine, then stop it again`,
      { details: { worker_id: facts.workerId, pids } },
    );
  }
  for (const port of facts.ports) {
    if (await becomesFree(parts, port)) continue;
    // All processes of the worker are gone, so whoever listens there now is a stranger.
    log.warn("a stopped worker's port is in use by somebody else", { worker_id: facts.workerId, port });
  }
  return result.how;
}

/** Kills what a worker that has ended left behind. Throws `stop_failed`. */
export async function clearLeftovers(parts: Omit<EndingParts, "process" | "deadline">): Promise<void> {
  const { context, facts, known } = parts;
  const { config, clock } = context.options;
  const deadline = Deadline.in(config.stop.verifyMs, clock);
  const find = () => context.find(facts.workerId, known);
  const { left } = await endProcesses({
    process: null,
    find,
    termMs: 0,
    verifyMs: config.stop.verifyMs,
    deadline: () => deadline,
    clock,
  });
  if (left.length === 0) return;
  const pids = left.map(({ identity }) => identity.pid);
  throw new QhError(
    "stop_failed",
    `cannot clear what ${facts.workerId} left behind: processes ${pids.join(", ")} survived KILL`,
    {
      details: { worker_id: facts.workerId, pids },
    },
  );
}

const PORT_FREE_MS = 1_000;
const PORT_PAUSE_MS = 20;

async function becomesFree({ context }: EndingParts, port: number): Promise<boolean> {
  const { clock, config } = context.options;
  const deadline = Deadline.in(PORT_FREE_MS, clock);
  while (!(await isPortFree(config.workerHost, port))) {
    if (deadline.expired) return false;
    await clock.sleep(PORT_PAUSE_MS);
  }
  return true;
}
