import {
  type Clock,
  Deadline,
  isProcessAlive,
  isSameProcess,
  type ProcessIdentity,
  signalProcess,
  signalProcessGroup,
  waitForProcessEnd,
} from "@queen-and-hive/daemon";
import type { WorkerProcess } from "../domain/worker-states.ts";
import type { FoundProcess } from "./find-ours.ts";

/** How the last process of a worker came to its end. */
export type EndedHow = "already_gone" | "ended" | "terminated" | "killed";

/** One thing that was done to end a worker: to which processes, how it came out, and how long it took. */
export interface EndStep {
  /** `sweep` is KILL to what had left the worker's group and was found by its other marks. */
  readonly step: "term" | "kill" | "sweep" | "cgroup";
  /** `over`: they had not ended when its time was over. `left`: not even that ended them. */
  readonly outcome: "ok" | "over" | "left";
  readonly pids: readonly number[];
  readonly durationMs: number;
}

/** What to end, and how much time it has. */
export interface EndOptions {
  /** The recorded process; null when only leftovers are looked for. */
  readonly process: WorkerProcess | null;
  /** Everything of this worker that lives now, wherever it went. */
  readonly find: () => readonly FoundProcess[];
  /** Kills all that is in the worker's own cgroup at once; false where there is none. */
  readonly killCgroup?: () => boolean;
  /** How long processes get after TERM; 0 kills at once. */
  readonly termMs: number;
  /** How long their end is verified after KILL. */
  readonly verifyMs: number;
  /** When the caller wants an answer; it may move closer while we wait. */
  readonly deadline: () => Deadline;
  readonly clock: Clock;
  readonly onStep?: (step: EndStep) => void;
}

/** The outcome: what is still there has survived KILL, or may not be signalled. */
export interface EndResult {
  readonly how: EndedHow;
  readonly left: readonly FoundProcess[];
  /** The pids among them that KILL could not be sent to: they have become another user's. */
  readonly refused: ReadonlySet<number>;
}

/**
 * Ends every process of a worker: TERM and CONT to the group and to what left it, then KILL, then its cgroup, until nothing
 * is found any more. Every signal goes to a verified identity. The shim goes last, so that it can write the exit status down.
 */
export async function endProcesses(options: EndOptions): Promise<EndResult> {
  const { process, find, clock, deadline } = options;
  const begunMs = clock.monotonicMs();
  const wasAlive = isAlive(process);
  // The group hears it before the rest is looked for, which takes milliseconds.
  const group = options.termMs > 0 && terminateGroup(process);
  const found = find();
  if (!wasAlive && found.length === 0) return { how: "already_gone", left: [], refused: NOBODY };
  const rest = options.termMs > 0 ? terminateRest(process, found, group) : [];
  const termed = [...(group && process !== null ? [process.engine.pid] : []), ...rest];
  const termEnd = Deadline.in(options.termMs, clock);
  const reserveMs = (): number => Math.min(options.verifyMs, deadline().remainingMs() / 2, KILL_RESERVE_MS);
  const inTime = await waitUntilGone(options, () => termEnd.expired || deadline().earlier(reserveMs()).expired);
  if (termed.length > 0) {
    const outcome = inTime ? "ok" : "over";
    options.onStep?.({ step: "term", outcome, pids: termed, durationMs: clock.monotonicMs() - begunMs });
  }
  if (inTime) return { how: termed.length > 0 ? "terminated" : "ended", left: [], refused: NOBODY };
  const verifyEnd = Deadline.in(options.verifyMs, clock);
  const floor = Deadline.in(VERIFY_FLOOR_MS, clock);
  const killed = new KilledProcesses(options);
  const left = await killAll(options, killed, () => verifyEnd.expired || (deadline().expired && floor.expired));
  return { how: "killed", left, refused: killed.refused };
}

const NOBODY: ReadonlySet<number> = new Set();
/** What is kept of a short deadline for KILL and proof. */
const KILL_RESERVE_MS = 1_000;
/** The shortest verification after KILL, also when the deadline has passed: the kernel needs a moment. */
const VERIFY_FLOOR_MS = 500;
const PAUSE_FIRST_MS = 5;
const PAUSE_MAX_MS = 50;
/** How long a shim that is alone may take to end by itself. */
const SHIM_ALONE_MS = 300;
/** So many rounds of KILL, one by one, before a cgroup that still forks is killed as a whole. */
const ROUNDS_BEFORE_CGROUP = 2;

function isAlive(process: WorkerProcess | null): boolean {
  return process !== null && (isProcessAlive(process.engine) || isProcessAlive(process.shim));
}

/** Whether TERM went to the worker's group. */
function terminateGroup(process: WorkerProcess | null): boolean {
  if (process === null || signalProcessGroup(process.shim, "SIGTERM") !== "sent") return false;
  // A stopped process hears TERM only once it goes on.
  signalProcessGroup(process.shim, "SIGCONT");
  return true;
}

/** TERM to what has not heard it with its group; their pids. */
function terminateRest(process: WorkerProcess | null, found: readonly FoundProcess[], group: boolean): readonly number[] {
  const pids: number[] = [];
  for (const { identity, pgrp } of found) {
    if (group && pgrp === process?.shim.pid) continue;
    if (signalProcess(identity, "SIGTERM") === "sent") pids.push(identity.pid);
    signalProcess(identity, "SIGCONT");
  }
  return pids;
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

async function killAll(options: EndOptions, killed: KilledProcesses, isOver: () => boolean): Promise<readonly FoundProcess[]> {
  const { process, find, clock } = options;
  let pauseMs = PAUSE_FIRST_MS;
  let alone = Deadline.in(SHIM_ALONE_MS, clock);
  for (let round = 1; ; round += 1) {
    const found = find();
    const others = found.filter(({ identity }) => process === null || !isSameProcess(identity, process.shim));
    const engineLives = process !== null && isProcessAlive(process.engine);
    if (engineLives) killed.kill(process.engine, "kill");
    for (const { identity, pgrp } of others) killed.kill(identity, pgrp === process?.shim.pid ? "kill" : "sweep");
    if (others.length > 0 && !engineLives && round > ROUNDS_BEFORE_CGROUP) killed.killCgroup(others);
    if (engineLives || others.length > 0) alone = Deadline.in(SHIM_ALONE_MS, clock);
    else if (!isAlive(process) && found.length === 0) {
      killed.say([]);
      return [];
    } else if (process !== null && alone.expired) killed.kill(process.shim, "kill");
    if (isOver()) {
      const left = find();
      killed.say(left);
      return left;
    }
    await clock.sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
  }
}

type KillStep = Exclude<EndStep["step"], "term">;

/** What KILL went to, for the steps that are told in the end. */
class KilledProcesses {
  readonly #options: EndOptions;
  readonly #pids = { cgroup: new Set<number>(), kill: new Set<number>(), sweep: new Set<number>() };
  readonly #sinceMs = new Map<KillStep, number>();
  /** What the kernel did not let us kill; it keeps none of the others alive. */
  readonly refused = new Set<number>();

  constructor(options: EndOptions) {
    this.#options = options;
  }

  kill(identity: ProcessIdentity, step: "kill" | "sweep"): void {
    if (!this.#sinceMs.has(step)) this.#sinceMs.set(step, this.#options.clock.monotonicMs());
    if (signalProcess(identity, "SIGKILL") === "refused") {
      this.refused.add(identity.pid);
      return;
    }
    // Who leaves the group between two looks was killed once.
    if (!this.#pids.kill.has(identity.pid)) this.#pids[step].add(identity.pid);
  }

  /** The whole cgroup at once, where there is one; `found` is what lives of it now. */
  killCgroup(found: readonly FoundProcess[]): void {
    const sinceMs = this.#options.clock.monotonicMs();
    if (this.#options.killCgroup?.() !== true) return;
    if (!this.#sinceMs.has("cgroup")) this.#sinceMs.set("cgroup", sinceMs);
    for (const { identity } of found) this.#pids.cgroup.add(identity.pid);
  }

  say(left: readonly FoundProcess[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const step of ["cgroup", "kill", "sweep"] as const) {
      const pids = [...this.#pids[step]];
      if (pids.length === 0) continue;
      // All that is in a cgroup is to be gone, what was forked since included.
      const isLeft = left.some(({ identity }) => step === "cgroup" || pids.includes(identity.pid));
      const outcome = isLeft ? "left" : "ok";
      this.#options.onStep?.({ step, outcome, pids, durationMs: nowMs - (this.#sinceMs.get(step) ?? nowMs) });
    }
  }
}
