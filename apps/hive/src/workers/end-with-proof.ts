import { type Clock, Deadline, isProcessAlive, readProcStat } from "@queen-and-hive/daemon";
import { QhError, type StopStep } from "@queen-and-hive/protocol";
import type { WorkerProcess } from "../domain/worker-states.ts";
import { type EndedHow, type EndOptions, endProcesses } from "../process/end-processes.ts";
import type { FoundProcess } from "../process/find-ours.ts";
import { openConnections } from "../process/open-connections.ts";
import { isPortLeft } from "../process/ports.ts";
import { holdOf, waitForDeviceMemory } from "./device-memory.ts";
import type { WorkerStep } from "./supervision.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** Whose processes to end. */
export interface EndingParts {
  readonly context: WorkerContext;
  readonly facts: WorkerFacts;
  readonly incarnation: number;
  readonly process: WorkerProcess | null;
  /** Whether somebody may still wait for its answers. */
  readonly isServing: boolean;
  readonly deadline: () => Deadline;
}

/**
 * Ends every process of a worker and proves it: callers gone, TERM, KILL, leftovers, ports free, device memory back. Each
 * step is told with its duration. Throws `stop_failed`, naming what is left, whose devices are closed from then on.
 */
export async function endWithProof(parts: EndingParts): Promise<EndedHow> {
  const { context, facts, process, deadline } = parts;
  const { clock, log } = context.options;
  const begunMs = clock.monotonicMs();
  const say = sayer(parts);
  const [hold] = await Promise.all([holdOf(parts), parts.isServing ? waitUntilIdle(parts, say) : null]);
  const { how, left, refused } = await endProcesses({ ...endOptions(parts, say), process, termMs: termMsOf(parts), deadline });
  if (left.length > 0) {
    say("gone", "left", begunMs, pidsOf(left));
    throw survived(parts, left, refused, "stop");
  }
  context.cgroups.remove(facts.workerId);
  for (const port of facts.ports) {
    const portMs = clock.monotonicMs();
    const isFree = await becomesFree(parts, port);
    say("port", isFree ? "ok" : "over", portMs);
    // All processes of the worker are gone, so whoever listens there now is a stranger.
    if (!isFree)
      log.warn("a stopped worker's port cannot be bound again; somebody else may use it", { worker_id: facts.workerId, port });
  }
  // What was gone before has given its memory back already.
  if (hold !== null && how !== "already_gone") {
    const memoryMs = clock.monotonicMs();
    const { isBack, reason } = await waitForDeviceMemory(parts, hold, deadline());
    say("device_memory", isBack ? "ok" : "over", memoryMs, [], reason);
  }
  say("gone", "ok", begunMs);
  return how;
}

/** Kills what a worker that has ended left behind. Throws `stop_failed`. */
export async function clearLeftovers(parts: Omit<EndingParts, "process" | "deadline" | "isServing">): Promise<void> {
  const { context, facts } = parts;
  const { config, clock } = context.options;
  const deadline = Deadline.in(config.stop.verifyMs, clock);
  const options = endOptions(parts, sayer(parts));
  const { left, refused } = await endProcesses({ ...options, process: null, termMs: 0, deadline: () => deadline });
  if (left.length > 0) throw survived(parts, left, refused, "clear what is left of");
  context.cgroups.remove(facts.workerId);
}

/** How long callers that were told to leave may take to close their connections. */
const IDLE_MS = 1_000;
const PORT_FREE_MS = 1_000;
const PAUSE_MS = 10;

type Say = (
  step: StopStep,
  outcome: WorkerStep["outcome"],
  sinceMs: number,
  pids?: readonly number[],
  reason?: string | null,
) => void;
type StepParts = Pick<EndingParts, "context" | "facts" | "incarnation">;

function sayer({ context, facts, incarnation }: StepParts): Say {
  const { clock } = context.options;
  return (step, outcome, sinceMs, pids = [], reason = null) =>
    context.publishStep({
      workerId: facts.workerId,
      incarnation,
      step,
      outcome,
      durationMs: clock.monotonicMs() - sinceMs,
      pids,
      ...(reason === null ? {} : { reason }),
    });
}

function endOptions(
  { context, facts }: StepParts,
  say: Say,
): Pick<EndOptions, "find" | "killCgroup" | "verifyMs" | "clock" | "onStep"> {
  const { config, clock } = context.options;
  return {
    find: () => context.views.oursOf(facts.workerId),
    killCgroup: () => context.cgroups.kill(facts.workerId),
    verifyMs: config.stop.verifyMs,
    clock,
    onStep: ({ step, outcome, pids, durationMs }) => say(step, outcome, clock.monotonicMs() - durationMs, pids),
  };
}

function termMsOf({ context, facts }: EndingParts): number {
  const termS = facts.spec.runtime.stop?.term_s ?? null;
  return termS === null ? context.options.config.stop.termMs : termS * 1_000;
}

/** Whoever had requests there has cancelled them when its connections are closed. */
async function waitUntilIdle({ context, facts, deadline }: EndingParts, say: Say): Promise<void> {
  const { clock } = context.options;
  const begunMs = clock.monotonicMs();
  const end = Deadline.in(Math.min(IDLE_MS, deadline().remainingMs() / 4), clock);
  const isIdle = await comesTrue(() => openConnections(facts.ports) === 0, end, clock);
  say("idle", isIdle ? "ok" : "over", begunMs);
}

async function becomesFree({ context }: EndingParts, port: number): Promise<boolean> {
  const { clock, config } = context.options;
  return await comesTrue(() => isPortLeft(config.workerHost, port), Deadline.in(PORT_FREE_MS, clock), clock);
}

async function comesTrue(condition: () => boolean | Promise<boolean>, end: Deadline, clock: Clock): Promise<boolean> {
  while (!(await condition())) {
    if (end.expired) return false;
    await clock.sleep(PAUSE_MS);
  }
  return true;
}

function survived(
  { context, facts }: StepParts,
  left: readonly FoundProcess[],
  refused: ReadonlySet<number>,
  what: string,
): QhError {
  const identities = left.map(({ identity }) => identity).filter(isProcessAlive);
  context.quarantine.close(facts.devices, facts.workerId, identities);
  const named = left.map(({ identity: { pid } }) => {
    if (refused.has(pid)) return `${pid} (another user's, which this one may not signal: end it as that user or as root)`;
    return `${pid}${readProcStat(pid)?.state === "D" ? " (waits in the kernel, state D)" : ""}`;
  });
  return new QhError(
    "stop_failed",
    `cannot ${what} ${facts.workerId}: ${left.length === 1 ? "process" : "processes"} ${named.join(", ")} survived KILL (a device or a file system may not answer); look at the machine, then stop it again`,
    { details: { worker_id: facts.workerId, pids: pidsOf(left) } },
  );
}

function pidsOf(found: readonly FoundProcess[]): number[] {
  return found.map(({ identity }) => identity.pid);
}
