import { type RestartPolicySpec, unreachable, type WorkerExit } from "@queen-and-hive/protocol";
import { decideRestart, NO_RESTARTS, type RestartDecision } from "./restart-policy.ts";
import type {
  EndMoment,
  ReadyFacts,
  StopReason,
  WorkerEvent,
  WorkerLife,
  WorkerPhase,
  WorkerProcess,
  WorkerStep,
} from "./worker-states.ts";

/** A worker that was just asked for. */
export function newWorkerLife(policy: RestartPolicySpec, warmup: boolean): WorkerStep {
  const life: WorkerLife = {
    policy,
    warmup,
    incarnation: 1,
    restarts: 0,
    history: NO_RESTARTS,
    lastExit: null,
    phase: { name: "starting", heldReady: null },
  };
  return { life, effects: [{ type: "launch", incarnation: 1 }] };
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
    case "warmed_up":
      return life.phase.name === "loading" && life.phase.warming !== null
        ? becomeReady(life, life.phase.process, life.phase.warming.facts, event.atMs)
        : unchanged(life);
    case "went_mute":
      return life.phase.name === "ready"
        ? { life: { ...life, phase: { ...life.phase, name: "hung" } }, effects: [] }
        : unchanged(life);
    case "answered_again":
      return answeredAgain(life);
    case "stayed_mute":
      // One that answered, ended, drains or is stopped meanwhile is not hung any more.
      return life.phase.name === "hung" ? stop(life, "hung") : unchanged(life);
    case "drain_requested":
      return drain(life);
    case "process_ended":
      return processEnded(life, event.exit, event);
    case "leftovers_cleared":
      // While stopping, the proof of the stop covers what is left.
      return life.phase.name === "crashed" ? afterwards(life, life.phase.exit, life.phase.decision) : unchanged(life);
    case "leftovers_found":
      return leftoversFound(life);
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
    case "stop_retry_due":
      return life.phase.name === "stopping" ? endAgain(life, life.phase) : unchanged(life);
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
  const watch = { type: "watch", process, untilReady: true } as const;
  const loading: WorkerLife = { ...life, phase: { name: "loading", process, warming: null } };
  if (phase.heldReady === null) return { life: loading, effects: [watch] };
  const next = ready(loading, phase.heldReady.facts, phase.heldReady.atMs);
  return { life: next.life, effects: [watch, ...next.effects] };
}

function becomeReady(life: WorkerLife, process: WorkerProcess, facts: ReadyFacts, readyAtMs: number): WorkerStep {
  return {
    life: { ...life, phase: { name: "ready", process, facts, readyAtMs } },
    effects: [{ type: "watch_start_no_more" }, { type: "say_ready", facts }, { type: "watch_health" }],
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
      if (!life.warmup) return becomeReady(life, phase.process, facts, atMs);
      if (phase.warming !== null) return unchanged(life);
      return { life: { ...life, phase: { ...phase, warming: { facts, atMs } } }, effects: [{ type: "warm_up" }] };
    case "ready":
    case "hung":
    case "draining":
    case "stopping":
    case "crashed":
    case "backing_off":
    case "failed":
    case "stopped":
      // A repetition, the word of a worker that is going or gone, or of one whose health is looked at anyway.
      return unchanged(life);
    default:
      return unreachable(phase);
  }
}

function answeredAgain(life: WorkerLife): WorkerStep {
  const { phase } = life;
  if (phase.name !== "hung") return unchanged(life);
  return { life: { ...life, phase: { ...phase, name: "ready" } }, effects: [{ type: "say_ready", facts: phase.facts }] };
}

/** Only a worker that serves can be drained; one that is not yet or no longer there has nothing to finish. */
function drain(life: WorkerLife): WorkerStep {
  const { phase } = life;
  if (phase.name !== "ready" && phase.name !== "hung") return unchanged(life);
  return { life: { ...life, phase: { ...phase, name: "draining" } }, effects: [{ type: "watch_health_no_more" }] };
}

function processEnded(life: WorkerLife, exit: WorkerExit, moment: EndMoment): WorkerStep {
  const { phase } = life;
  switch (phase.name) {
    case "loading":
      return crashed(life, exit, null, moment);
    case "ready":
    case "hung":
      return crashed(life, exit, phase.readyAtMs, moment);
    case "draining":
      // What was drained stays so: it is not started again, and what it left is cleared by its stop.
      return drainedEnded(life, exit);
    case "stopping":
      // The stop in progress finds that out by itself; one that had given up tries to prove it again.
      return endAgain(life, phase);
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

/** A stop that had given up is tried again; one in progress goes on. */
function endAgain(life: WorkerLife, phase: Extract<WorkerPhase, { readonly name: "stopping" }>): WorkerStep {
  return phase.stuck
    ? { life: { ...life, phase: { ...phase, stuck: false } }, effects: [{ type: "end_process" }] }
    : unchanged(life);
}

function drainedEnded(life: WorkerLife, exit: WorkerExit): WorkerStep {
  const step = stop({ ...life, lastExit: exit, phase: { name: "crashed", exit, decision: NEVER_AGAIN } }, "operator");
  return { life: step.life, effects: [{ type: "say_exited", exit, willRestart: false }, ...step.effects] };
}

const NEVER_AGAIN: RestartDecision = { history: NO_RESTARTS, verdict: "open", waitMs: Number.POSITIVE_INFINITY };

function stop(life: WorkerLife, reason: StopReason): WorkerStep {
  const { phase } = life;
  const stopping = (process: WorkerProcess | null, launching: boolean): WorkerLife => ({
    ...life,
    phase: {
      name: "stopping",
      reason,
      process,
      readyAtMs: "readyAtMs" in phase ? phase.readyAtMs : null,
      launching,
      stuck: false,
    },
  });
  switch (phase.name) {
    case "starting":
      return { life: stopping(null, true), effects: [] };
    case "loading":
      return { life: stopping(phase.process, false), effects: [{ type: "watch_start_no_more" }, { type: "end_process" }] };
    case "ready":
    case "hung":
    case "draining":
      return { life: stopping(phase.process, false), effects: [{ type: "watch_health_no_more" }, { type: "end_process" }] };
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
    // Without a process, its end was said before the stop, or there never was one.
    const said = exit === null || phase.process === null ? null : ({ ...exit, cause: "stopped" } as const);
    return {
      life: { ...life, lastExit: said ?? life.lastExit, phase: { name: "stopped" } },
      effects: [...(said === null ? [] : [{ type: "say_exited", exit: said, willRestart: false } as const]), { type: "forget" }],
    };
  }
  const givenUp: WorkerExit = { ...(exit ?? { exit_code: null, signal: null, log_tail: [] }), cause: reason };
  const decision = decideRestart(life.history, life.policy, { ...ending(givenUp, moment), readyAtMs: phase.readyAtMs });
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

/** Back to where what is left is cleared: the wait goes on afterwards. */
function leftoversFound(life: WorkerLife): WorkerStep {
  const { phase, history } = life;
  if (phase.name !== "backing_off" && phase.name !== "failed") return unchanged(life);
  const verdict = phase.name === "failed" ? "open" : "restart";
  const decision: RestartDecision = { history, verdict, waitMs: phase.waitMs };
  return {
    life: { ...life, phase: { name: "crashed", exit: phase.exit, decision } },
    effects: [{ type: "wait_no_more" }, { type: "clear_leftovers" }],
  };
}

function startAgain(life: WorkerLife): WorkerStep {
  const incarnation = life.incarnation + 1;
  return {
    life: { ...life, incarnation, restarts: life.restarts + 1, phase: { name: "starting", heldReady: null } },
    effects: [{ type: "launch", incarnation }],
  };
}
