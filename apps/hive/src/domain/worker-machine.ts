import { type RestartPolicySpec, unreachable, type WorkerExit, type WorkerState } from "@queen-and-hive/protocol";
import { decideRestart, NO_RESTARTS, type RestartDecision, type RestartHistory } from "./restart-policy.ts";

/** `{pid, start_time, boot_id}` of a process. */
export interface Identity {
  readonly pid: number;
  readonly start_time: number;
  readonly boot_id: string;
}

/** The process of one incarnation: the engine, which is what the worker is known by, and the shim above it. */
export interface WorkerProcess {
  readonly engine: Identity;
  readonly shim: Identity;
}

/** What a worker said, or what a probe found, when it became able to serve. */
export interface ReadyFacts {
  readonly url: string;
  readonly model_ref: string;
  readonly backend: string;
  readonly device: string;
  readonly slots?: number;
  readonly memory_bytes?: number;
}

/** Why a process is being ended: the operator's word, or a start that was given up. */
export type StopReason = "operator" | "start_silent" | "start_too_long";

/** Where a worker is in its life; each phase carries only its own data. */
export type WorkerPhase =
  /** The intent is recorded, the process not yet known. A ready that comes earlier than that is held. */
  | { readonly name: "starting"; readonly heldReady: { readonly facts: ReadyFacts; readonly atMs: number } | null }
  | { readonly name: "loading"; readonly process: WorkerProcess }
  | { readonly name: "ready"; readonly process: WorkerProcess; readonly facts: ReadyFacts; readonly readyAtMs: number }
  /** `launching`: the process is still on its way. `stuck`: even KILL did not end it. */
  | {
      readonly name: "stopping";
      readonly reason: StopReason;
      readonly process: WorkerProcess | null;
      readonly launching: boolean;
      readonly stuck: boolean;
    }
  /** The process is gone; what it left behind is being cleared before anything else. */
  | { readonly name: "crashed"; readonly exit: WorkerExit; readonly decision: RestartDecision }
  | { readonly name: "backing_off"; readonly exit: WorkerExit; readonly waitMs: number }
  /** The breaker is open; `waitMs` until a quiet retry, Infinity for never. */
  | { readonly name: "failed"; readonly exit: WorkerExit; readonly waitMs: number }
  | { readonly name: "stopped" };

/** One worker as a value. */
export interface WorkerLife {
  readonly policy: RestartPolicySpec;
  readonly incarnation: number;
  readonly restarts: number;
  readonly history: RestartHistory;
  /** The end of the incarnation before, while there was one. */
  readonly lastExit: WorkerExit | null;
  readonly phase: WorkerPhase;
}

/** The moment of an end, and a number from 0 to 1 for the jitter. */
interface EndMoment {
  readonly atMs: number;
  readonly random: number;
}

/** What can happen to a worker. Events of one incarnation name it, so that late ones are known. */
export type WorkerEvent =
  | { readonly type: "launched"; readonly incarnation: number; readonly process: WorkerProcess }
  | ({ readonly type: "launch_failed"; readonly incarnation: number; readonly exit: WorkerExit } & EndMoment)
  | { readonly type: "ready"; readonly incarnation: number; readonly facts: ReadyFacts; readonly atMs: number }
  | { readonly type: "start_given_up"; readonly incarnation: number; readonly cause: "start_silent" | "start_too_long" }
  | ({ readonly type: "process_ended"; readonly incarnation: number; readonly exit: WorkerExit } & EndMoment)
  | { readonly type: "leftovers_cleared"; readonly incarnation: number }
  | { readonly type: "wait_over"; readonly incarnation: number }
  | { readonly type: "stop_requested" }
  /** Everything of the worker is gone, proven. `exit` is null when there was no process. */
  | ({ readonly type: "stop_proven"; readonly exit: WorkerExit | null } & EndMoment)
  | { readonly type: "stop_failed" };

/** What the shell has to do after a step, in this order. */
export type WorkerEffect =
  | { readonly type: "say_ready"; readonly facts: ReadyFacts }
  | { readonly type: "say_exited"; readonly exit: WorkerExit; readonly willRestart: boolean }
  | { readonly type: "launch"; readonly incarnation: number }
  /** Hear of the end of the process; `untilReady`: also look for readiness. */
  | { readonly type: "watch"; readonly process: WorkerProcess; readonly untilReady: boolean }
  | { readonly type: "watch_start_no_more" }
  | { readonly type: "clear_leftovers" }
  | { readonly type: "wait"; readonly ms: number }
  | { readonly type: "wait_no_more" }
  /** TERM, KILL, leftovers, proof; answered by `stop_proven` or `stop_failed`. */
  | { readonly type: "end_process" }
  | { readonly type: "forget" };

/** A step of the machine. */
export interface WorkerStep {
  readonly life: WorkerLife;
  readonly effects: readonly WorkerEffect[];
}

/** A worker that was just asked for. */
export function newWorkerLife(policy: RestartPolicySpec): WorkerStep {
  const life: WorkerLife = {
    policy,
    incarnation: 1,
    restarts: 0,
    history: NO_RESTARTS,
    lastExit: null,
    phase: { name: "starting", heldReady: null },
  };
  return { life, effects: [{ type: "launch", incarnation: 1 }] };
}

/** The public state of a phase. */
export function stateOf(phase: WorkerPhase): Exclude<WorkerState, "draining"> {
  return phase.name;
}

/** The process of a worker, as far as it is known and not yet known to be gone. */
export function processOf(phase: WorkerPhase): WorkerProcess | null {
  return phase.name === "loading" || phase.name === "ready" || phase.name === "stopping" ? phase.process : null;
}

/** The one place that decides what becomes of a worker. An event that comes too late changes nothing. */
export function nextWorker(life: WorkerLife, event: WorkerEvent): WorkerStep {
  if ("incarnation" in event && event.incarnation !== life.incarnation) return unchanged(life);
  switch (event.type) {
    case "launched":
      return launched(life, event.process);
    case "launch_failed":
      return launchFailed(life, event.exit, event);
    case "ready":
      return ready(life, event.facts, event.atMs);
    case "start_given_up":
      // A worker that became ready, ended or is stopped meanwhile is no longer starting.
      return life.phase.name === "loading" ? stop(life, event.cause) : unchanged(life);
    case "process_ended":
      return processEnded(life, event.exit, event);
    case "leftovers_cleared":
      // While stopping, the proof of the stop covers what is left.
      return life.phase.name === "crashed" ? afterwards(life, life.phase.exit, life.phase.decision) : unchanged(life);
    case "wait_over":
      return life.phase.name === "backing_off" || life.phase.name === "failed" ? startAgain(life) : unchanged(life);
    case "stop_requested":
      return stop(life, "operator");
    case "stop_proven":
      return stopProven(life, event.exit, event);
    case "stop_failed":
      return life.phase.name === "stopping"
        ? { life: { ...life, phase: { ...life.phase, stuck: true } }, effects: [] }
        : unchanged(life);
    default:
      return unreachable(event);
  }
}

function unchanged(life: WorkerLife): WorkerStep {
  return { life, effects: [] };
}

function launched(life: WorkerLife, process: WorkerProcess): WorkerStep {
  const { phase } = life;
  if (phase.name === "stopping" && phase.launching) {
    return { life: { ...life, phase: { ...phase, process, launching: false } }, effects: [{ type: "end_process" }] };
  }
  if (phase.name !== "starting") return unchanged(life);
  if (phase.heldReady === null) {
    return { life: { ...life, phase: { name: "loading", process } }, effects: [{ type: "watch", process, untilReady: true }] };
  }
  const { facts, atMs } = phase.heldReady;
  return {
    life: { ...life, phase: { name: "ready", process, facts, readyAtMs: atMs } },
    effects: [
      { type: "say_ready", facts },
      { type: "watch", process, untilReady: false },
    ],
  };
}

function launchFailed(life: WorkerLife, exit: WorkerExit, moment: EndMoment): WorkerStep {
  const { phase } = life;
  if (phase.name === "stopping" && phase.launching) {
    return { life: { ...life, phase: { ...phase, launching: false } }, effects: [{ type: "end_process" }] };
  }
  return phase.name === "starting" ? crashed(life, exit, null, moment) : unchanged(life);
}

function ready(life: WorkerLife, facts: ReadyFacts, atMs: number): WorkerStep {
  const { phase } = life;
  switch (phase.name) {
    case "starting":
      // Said before the launch has ended: the worker repeats nothing, so it is held.
      return { life: { ...life, phase: { ...phase, heldReady: phase.heldReady ?? { facts, atMs } } }, effects: [] };
    case "loading":
      return {
        life: { ...life, phase: { name: "ready", process: phase.process, facts, readyAtMs: atMs } },
        effects: [{ type: "watch_start_no_more" }, { type: "say_ready", facts }],
      };
    case "ready":
    case "stopping":
    case "crashed":
    case "backing_off":
    case "failed":
    case "stopped":
      // A repetition, or the word of a worker that is going or gone.
      return unchanged(life);
    default:
      return unreachable(phase);
  }
}

function processEnded(life: WorkerLife, exit: WorkerExit, moment: EndMoment): WorkerStep {
  const { phase } = life;
  switch (phase.name) {
    case "loading":
      return crashed(life, exit, null, moment);
    case "ready":
      return crashed(life, exit, phase.readyAtMs, moment);
    case "stopping":
      // The stop in progress finds that out by itself; one that had given up tries to prove it again.
      return phase.stuck
        ? { life: { ...life, phase: { ...phase, stuck: false } }, effects: [{ type: "end_process" }] }
        : unchanged(life);
    case "starting":
    case "crashed":
    case "backing_off":
    case "failed":
    case "stopped":
      // No process is known here: a late word about one that is already accounted for.
      return unchanged(life);
    default:
      return unreachable(phase);
  }
}

function stop(life: WorkerLife, reason: StopReason): WorkerStep {
  const { phase } = life;
  const stopping = (process: WorkerProcess | null, launching: boolean): WorkerLife => ({
    ...life,
    phase: { name: "stopping", reason, process, launching, stuck: false },
  });
  switch (phase.name) {
    case "starting":
      return { life: stopping(null, true), effects: [] };
    case "loading":
    case "ready":
      return { life: stopping(phase.process, false), effects: [{ type: "watch_start_no_more" }, { type: "end_process" }] };
    case "crashed":
      return { life: stopping(null, false), effects: [{ type: "end_process" }] };
    case "backing_off":
    case "failed":
      return { life: stopping(null, false), effects: [{ type: "wait_no_more" }, { type: "end_process" }] };
    case "stopping":
      // The operator's word also covers an end that we began ourselves; a stop that was stuck is tried again.
      if (phase.reason === reason && !phase.stuck) return unchanged(life);
      return {
        life: { ...life, phase: { ...phase, reason, stuck: false } },
        effects: phase.stuck ? [{ type: "end_process" }] : [],
      };
    case "stopped":
      return unchanged(life);
    default:
      return unreachable(phase);
  }
}

function stopProven(life: WorkerLife, exit: WorkerExit | null, moment: EndMoment): WorkerStep {
  const { phase } = life;
  if (phase.name !== "stopping") return unchanged(life);
  const { reason } = phase;
  if (reason === "operator") {
    const said = exit === null ? null : ({ ...exit, cause: "stopped" } as const);
    return {
      life: { ...life, lastExit: said ?? life.lastExit, phase: { name: "stopped" } },
      effects: [...(said === null ? [] : [{ type: "say_exited", exit: said, willRestart: false } as const]), { type: "forget" }],
    };
  }
  const givenUp: WorkerExit = { ...(exit ?? { exit_code: null, signal: null, log_tail: [] }), cause: reason };
  const decision = decideRestart(life.history, life.policy, { ...ending(givenUp, moment), readyAtMs: null });
  const next = afterwards({ ...life, history: decision.history, lastExit: givenUp }, givenUp, decision);
  const willRestart = decision.verdict === "restart";
  return { life: next.life, effects: [{ type: "say_exited", exit: givenUp, willRestart }, ...next.effects] };
}

function crashed(life: WorkerLife, exit: WorkerExit, readyAtMs: number | null, moment: EndMoment): WorkerStep {
  const decision = decideRestart(life.history, life.policy, { ...ending(exit, moment), readyAtMs });
  return {
    life: { ...life, history: decision.history, lastExit: exit, phase: { name: "crashed", exit, decision } },
    effects: [
      { type: "watch_start_no_more" },
      { type: "say_exited", exit, willRestart: decision.verdict === "restart" },
      { type: "clear_leftovers" },
    ],
  };
}

function ending(exit: WorkerExit, { atMs, random }: EndMoment) {
  return { cause: exit.cause, endedAtMs: atMs, random } as const;
}

function afterwards(life: WorkerLife, exit: WorkerExit, decision: RestartDecision): WorkerStep {
  const name = decision.verdict === "restart" ? "backing_off" : "failed";
  return { life: { ...life, phase: { name, exit, waitMs: decision.waitMs } }, effects: [{ type: "wait", ms: decision.waitMs }] };
}

function startAgain(life: WorkerLife): WorkerStep {
  const incarnation = life.incarnation + 1;
  return {
    life: { ...life, incarnation, restarts: life.restarts + 1, phase: { name: "starting", heldReady: null } },
    effects: [{ type: "launch", incarnation }],
  };
}
