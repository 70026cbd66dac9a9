import { type RestartPolicySpec, unreachable, type WorkerExit } from "@queen-and-hive/protocol";
import { decideRestart, NO_RESTARTS, type RestartDecision } from "./restart-policy.ts";
import type { EndMoment, ReadyFacts, StopReason, WorkerEvent, WorkerLife, WorkerProcess, WorkerStep } from "./worker-states.ts";

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
