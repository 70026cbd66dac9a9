import type { RestartPolicySpec, WorkerExit, WorkerState } from "@queen-and-hive/protocol";
import type { RestartDecision, RestartHistory } from "./restart-policy.ts";

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

/** Why a process is being ended: the operator's word, a start that was given up, or a worker that stayed hung. */
export type StopReason = (typeof STOP_REASONS)[number];

/** Every reason for which a process is ended. */
export const STOP_REASONS = ["operator", "start_silent", "start_too_long", "listens_on_loopback_only", "hung"] as const;

/** Why a start is given up although its process lives. */
export type StartFault = Exclude<StopReason, "operator" | "hung">;

/** A ready that was heard and does not count yet. */
interface SaidReady {
  readonly facts: ReadyFacts;
  /** Unix time in ms. */
  readonly atMs: number;
}

/** What is known of a process that was ready at least once. */
interface Served {
  readonly process: WorkerProcess;
  readonly facts: ReadyFacts;
  /** When it was ready first, Unix time in ms. */
  readonly readyAtMs: number;
}

/** Where a worker is in its life; each phase carries only its own data. */
export type WorkerPhase =
  /** The intent is recorded, the process not yet known. A ready that comes earlier than that is held. */
  | { readonly name: "starting"; readonly heldReady: SaidReady | null }
  /** `warming`: it said that it is ready, and is asked for a first token before that counts. */
  | { readonly name: "loading"; readonly process: WorkerProcess; readonly warming: SaidReady | null }
  | ({ readonly name: "ready" } & Served)
  /** It lives, but neither answers nor makes progress: out of routing, until it answers again or is replaced. */
  | ({ readonly name: "hung" } & Served)
  /** It serves what it has and gets nothing new; only a stop leads out of it. */
  | ({ readonly name: "draining" } & Served)
  /** `launching`: the process is still on its way. `stuck`: even KILL did not end it. */
  | {
      readonly name: "stopping";
      readonly reason: StopReason;
      readonly process: WorkerProcess | null;
      /** When this process was ready first; null when it never was. */
      readonly readyAtMs: number | null;
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
  /** Whether ready counts only after a first token. */
  readonly warmup: boolean;
  readonly incarnation: number;
  readonly restarts: number;
  readonly history: RestartHistory;
  /** The end of the incarnation before, while there was one. */
  readonly lastExit: WorkerExit | null;
  readonly phase: WorkerPhase;
}

/** The moment of an end, and a number from 0 to 1 for the jitter. */
export interface EndMoment {
  readonly atMs: number;
  readonly random: number;
}

/** What can happen to a worker. Events of one incarnation name it, so that late ones are known. */
export type WorkerEvent =
  | { readonly type: "launched"; readonly incarnation: number; readonly process: WorkerProcess }
  | ({ readonly type: "launch_failed"; readonly incarnation: number; readonly exit: WorkerExit } & EndMoment)
  | { readonly type: "ready"; readonly incarnation: number; readonly facts: ReadyFacts; readonly atMs: number }
  | { readonly type: "start_given_up"; readonly incarnation: number; readonly cause: StartFault }
  | { readonly type: "warmed_up"; readonly incarnation: number; readonly atMs: number }
  | { readonly type: "went_mute"; readonly incarnation: number }
  | { readonly type: "answered_again"; readonly incarnation: number }
  | { readonly type: "stayed_mute"; readonly incarnation: number }
  | { readonly type: "drain_requested" }
  | ({ readonly type: "process_ended"; readonly incarnation: number; readonly exit: WorkerExit } & EndMoment)
  | { readonly type: "leftovers_cleared"; readonly incarnation: number }
  /** Something of an incarnation before has survived a restart of the daemon, and KILL. */
  | { readonly type: "leftovers_found"; readonly incarnation: number }
  | { readonly type: "wait_over"; readonly incarnation: number }
  | { readonly type: "stop_requested" }
  /** Everything of the worker is gone, proven. `exit` is null when there was no process. */
  | ({ readonly type: "stop_proven"; readonly exit: WorkerExit | null } & EndMoment)
  | { readonly type: "stop_failed" }
  /** What survived KILL may have let go meanwhile. */
  | { readonly type: "stop_retry_due" };

/** What the shell has to do after a step, in this order. */
export type WorkerEffect =
  | { readonly type: "say_ready"; readonly facts: ReadyFacts }
  | { readonly type: "say_exited"; readonly exit: WorkerExit; readonly willRestart: boolean }
  | { readonly type: "launch"; readonly incarnation: number }
  /** Hear of the end of the process; `untilReady`: also look for readiness. */
  | { readonly type: "watch"; readonly process: WorkerProcess; readonly untilReady: boolean }
  /** Ask for a first token; answered by `warmed_up`, or by a start that is given up. */
  | { readonly type: "warm_up" }
  | { readonly type: "watch_start_no_more" }
  /** Look whether a worker that was ready still serves or makes progress. */
  | { readonly type: "watch_health" }
  | { readonly type: "watch_health_no_more" }
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

/** The public state of a phase. */
export function stateOf(phase: WorkerPhase): WorkerState {
  return phase.name;
}

/** The process of a worker, as far as it is known and not yet known to be gone. */
export function processOf(phase: WorkerPhase): WorkerProcess | null {
  return "process" in phase ? phase.process : null;
}

/** Whether what a worker had in memory is on its way back after such a step: its process, or what that left, has ended. */
export function freesMemory(from: WorkerPhase, to: WorkerPhase): boolean {
  const isCleared = from.name === "crashed" && to.name !== "crashed";
  return isCleared || (processOf(from) !== null && processOf(to) === null);
}
