import {
  type Clock,
  Deadline,
  isProcessAlive,
  type ProcessIdentity,
  signalProcess,
  signalProcessGroup,
  waitForProcessEnd,
} from "@queen-and-hive/daemon";
import type { WorkerProcess } from "../domain/worker-states.ts";
import type { FoundProcess } from "./find-ours.ts";

/** How the last process of a worker came to its end. */
export type EndedHow = "already_gone" | "ended" | "terminated" | "killed";

/** What to end, and how much time it has. */
export interface EndOptions {
  /** The recorded process; null when only leftovers are looked for. */
  readonly process: WorkerProcess | null;
  /** Everything of this worker that lives now, wherever it went. */
  readonly find: () => readonly FoundProcess[];
  /** How long processes get after TERM; 0 kills at once. */
  readonly termMs: number;
  /** How long their end is verified after KILL. */
  readonly verifyMs: number;
  /** When the caller wants an answer; it may move closer while we wait. */
  readonly deadline: () => Deadline;
  readonly clock: Clock;
}

/** The outcome: what is still there has survived KILL. */
export interface EndResult {
  readonly how: EndedHow;
  readonly left: readonly FoundProcess[];
}

/**
 * Ends every process of a worker: TERM and CONT to the group and to what left it, then KILL, until nothing is found any
 * more. Every signal goes to a verified identity. The shim goes last, so that it can write the exit status down.
 */
export async function endProcesses(options: EndOptions): Promise<EndResult> {
  const { process, find, clock, deadline } = options;
  if (!isAlive(process) && find().length === 0) return { how: "already_gone", left: [] };
  const signalled = terminate(process, find());
  const termEnd = Deadline.in(options.termMs, clock);
  const reserveMs = (): number => Math.min(options.verifyMs, deadline().remainingMs() / 2, KILL_RESERVE_MS);
  const inTime = await waitUntilGone(options, () => termEnd.expired || deadline().earlier(reserveMs()).expired);
  if (inTime) return { how: signalled ? "terminated" : "ended", left: [] };
  const verifyEnd = Deadline.in(options.verifyMs, clock);
  const floor = Deadline.in(VERIFY_FLOOR_MS, clock);
  const left = await killAll(options, () => verifyEnd.expired || (deadline().expired && floor.expired));
  return { how: "killed", left };
}

/** What is kept of a short deadline for KILL and proof. */
const KILL_RESERVE_MS = 1_000;
/** The shortest verification after KILL, also when the deadline has passed: the kernel needs a moment. */
const VERIFY_FLOOR_MS = 500;
const PAUSE_FIRST_MS = 5;
const PAUSE_MAX_MS = 50;
/** How long a shim that is alone may take to end by itself. */
const SHIM_ALONE_MS = 300;

function isAlive(process: WorkerProcess | null): boolean {
  return process !== null && (isProcessAlive(process.engine) || isProcessAlive(process.shim));
}

function terminate(process: WorkerProcess | null, found: readonly FoundProcess[]): boolean {
  let signalled = false;
  const group = process === null ? "gone" : signalProcessGroup(process.shim, "SIGTERM");
  if (process !== null && group === "sent") {
    signalled = true;
    // A stopped process hears TERM only once it goes on.
    signalProcessGroup(process.shim, "SIGCONT");
  }
  for (const { identity, pgrp } of found) {
    if (group === "sent" && pgrp === process?.shim.pid) continue;
    signalled = signalProcess(identity, "SIGTERM") === "sent" || signalled;
    signalProcess(identity, "SIGCONT");
  }
  return signalled;
}

async function waitUntilGone({ process, find, clock }: EndOptions, isOver: () => boolean): Promise<boolean> {
  let pauseMs = PAUSE_FIRST_MS;
  while (true) {
    if (process !== null && isProcessAlive(process.engine)) {
      await waitForProcessEnd(process.engine, Deadline.in(PAUSE_MAX_MS, clock), clock);
    } else if (!isAlive(process) && find().length === 0) {
      return true;
    } else {
      await clock.sleep(pauseMs);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
    if (isOver()) return !isAlive(process) && find().length === 0;
  }
}

async function killAll({ process, find, clock }: EndOptions, isOver: () => boolean): Promise<readonly FoundProcess[]> {
  let pauseMs = PAUSE_FIRST_MS;
  let alone = Deadline.in(SHIM_ALONE_MS, clock);
  while (true) {
    const found = find();
    const others = found.filter(({ identity }) => !isSame(identity, process?.shim));
    const engineLives = process !== null && isProcessAlive(process.engine);
    if (engineLives) signalProcess(process.engine, "SIGKILL");
    for (const { identity } of others) signalProcess(identity, "SIGKILL");
    if (engineLives || others.length > 0) alone = Deadline.in(SHIM_ALONE_MS, clock);
    else if (!isAlive(process) && found.length === 0) return [];
    else if (process !== null && alone.expired) signalProcess(process.shim, "SIGKILL");
    if (isOver()) return find();
    await clock.sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
  }
}

function isSame(one: ProcessIdentity, other: ProcessIdentity | undefined): boolean {
  return one.pid === other?.pid && one.start_time === other.start_time;
}
