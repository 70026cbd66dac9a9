import { type HiveIdentity, unreachable } from "@queen-and-hive/protocol";
import {
  type HiveEffect,
  type HiveMachine,
  type HiveMachineEvent,
  type HiveMachineState,
  type HivePolicy,
  type HiveTimer,
  runOf,
} from "./hive-states.ts";

/** A transition: the new machine and what the shell has to do, in order. */
export interface HiveTransition {
  readonly machine: HiveMachine;
  readonly effects: readonly HiveEffect[];
}

/**
 * The life cycle of a hive as the queen sees it:
 * `stopped -> starting -> running <-> suspect -> crashed | hung | unreachable -> (restart) starting`, `draining`, `stopping`,
 * `failed` (breaker open, or refused for good). Events that a state does not wait for change nothing.
 */
export function nextHive(machine: HiveMachine, event: HiveMachineEvent, policy: HivePolicy): HiveTransition {
  switch (event.type) {
    case "start_requested":
      return onStartRequested(machine);
    case "start_answered":
      return onStartAnswered(machine, event.run);
    case "start_refused":
      // An answer that comes after we stopped waiting for it (a stop was asked for meanwhile) changes nothing.
      if (!isCalling(machine.state)) return same(machine);
      return event.final ? fail(machine, event.error) : crash(machine, event.error, event.atMs, policy);
    case "connected":
      return onConnected(machine, event.run, event.atMs);
    case "link_lost":
      return onLinkLost(machine, event, policy);
    case "refused":
      return runEpoch(machine.state) === event.epoch && isWatched(machine.state) ? fail(machine, event.error) : same(machine);
    case "diagnosed":
      return onDiagnosed(machine, event, policy);
    case "announced":
      return onAnnounced(machine, event.run);
    case "daemon_ended":
      if (machine.state.name !== "hung" || machine.state.run.hive_epoch !== event.epoch) return same(machine);
      return crash(machine, "the daemon was mute and has been ended; its workers were kept", event.atMs, policy);
    case "daemon_left":
      if (machine.state.name !== "hung" || machine.state.run.hive_epoch !== event.epoch) return same(machine);
      return suspect(machine, machine.state.run, "health_failed", event.error, event.atMs);
    case "timer":
      return onTimer(machine, event.timer);
    case "drain_requested":
      if (machine.state.name !== "running") return same(machine);
      return to(machine, { name: "draining", run: machine.state.run }, []);
    case "stop_requested":
      return onStopRequested(machine, event.workers);
    case "stop_ended":
      return onStopEnded(machine, event.left);
    default:
      return unreachable(event);
  }
}

function onStartRequested(machine: HiveMachine): HiveTransition {
  switch (machine.state.name) {
    case "stopped":
    case "failed":
    case "crashed":
    case "unreachable":
      return to({ ...machine, attempt: 0, recentFailuresMs: [], lastError: null }, { name: "starting", step: "calling" }, [
        { kind: "call_start" },
      ]);
    case "starting":
    case "running":
    case "suspect":
    case "hung":
    case "draining":
    case "stopping":
      // Already on its way, or on its way out: a start now would race with what runs.
      return same(machine);
    default:
      return unreachable(machine.state);
  }
}

function onStartAnswered(machine: HiveMachine, run: HiveIdentity): HiveTransition {
  // Only the call that we wait for counts; the hive's own announcement may have been faster.
  return isCalling(machine.state) ? connectTo(machine, run, []) : same(machine);
}

function onConnected(machine: HiveMachine, run: HiveIdentity, atMs: number): HiveTransition {
  const { state } = machine;
  const awaited = (state.name === "starting" && state.step === "connecting") || state.name === "suspect";
  if (!awaited || run.hive_epoch < state.run.hive_epoch) return same(machine);
  return to({ ...machine, lastError: null }, { name: "running", run, sinceMs: atMs }, []);
}

function onLinkLost(
  machine: HiveMachine,
  event: Extract<HiveMachineEvent, { type: "link_lost" }>,
  policy: HivePolicy,
): HiveTransition {
  const { state } = machine;
  if (runEpoch(state) !== event.epoch) return same(machine);
  if (state.name === "running" || (state.name === "starting" && state.step === "connecting")) {
    return suspect(forgiveAfterStableRun(machine, event.atMs, policy), state.run, event.reason, event.detail, event.atMs);
  }
  // A connection that fails while suspect is tried again after a pause, beginning with a new diagnosis.
  if (state.name === "suspect") {
    return { machine: { ...machine, lastError: event.detail }, effects: [{ kind: "disconnect" }, schedule("retry", 0)] };
  }
  return same(machine);
}

function onDiagnosed(
  machine: HiveMachine,
  event: Extract<HiveMachineEvent, { type: "diagnosed" }>,
  policy: HivePolicy,
): HiveTransition {
  const { state } = machine;
  const open = state.name === "suspect" || state.name === "unreachable";
  if (!open || (state.run !== null && state.run.hive_epoch !== event.epoch)) return same(machine);
  switch (event.finding) {
    case "gone":
      return crash(machine, event.detail, event.atMs, policy);
    case "answers":
      if (state.name === "unreachable") {
        if (state.run === null) return to(machine, { name: "starting", step: "calling" }, [{ kind: "call_start" }]);
        return connectTo(machine, state.run, []);
      }
      return { machine, effects: [{ kind: "connect", run: state.run }] };
    case "mute":
      if (state.name === "unreachable") return { machine, effects: [schedule("retry", 0)] };
      if (event.atMs - state.sinceMs < policy.suspectGraceMs) return { machine, effects: [schedule("retry", 0)] };
      return to({ ...machine, lastError: event.detail }, { name: "hung", run: state.run }, [
        { kind: "disconnect" },
        { kind: "end_daemon", run: state.run },
      ]);
    case "no_host":
      if (state.name === "unreachable") return { machine, effects: [schedule("retry", 0)] };
      return to({ ...machine, lastError: event.detail }, { name: "unreachable", run: state.run, reason: event.detail }, [
        { kind: "disconnect" },
        schedule("retry", 0),
        schedule("grace", 0),
      ]);
    default:
      return unreachable(event.finding);
  }
}

function onAnnounced(machine: HiveMachine, run: HiveIdentity): HiveTransition {
  const { state } = machine;
  switch (state.name) {
    case "stopped":
    case "stopping":
    case "draining":
      // The operator's word wins: what was stopped stays so, whoever started the daemon again.
      return same(machine);
    case "crashed":
    case "failed":
      return connectTo(machine, run, []);
    case "starting":
    case "running":
    case "suspect":
    case "hung":
    case "unreachable": {
      const known = runEpoch(state);
      if (known !== null && run.hive_epoch <= known) return same(machine);
      return connectTo(machine, run, known === null ? [] : [{ kind: "disconnect" }]);
    }
    default:
      return unreachable(state);
  }
}

function onTimer(machine: HiveMachine, timer: HiveTimer): HiveTransition {
  const { state } = machine;
  switch (timer) {
    case "restart":
    case "reopen":
      // A late timer of a state that was left meanwhile has nothing to do.
      if (state.name !== (timer === "restart" ? "crashed" : "failed")) return same(machine);
      return to({ ...machine, restarts: machine.restarts + 1 }, { name: "starting", step: "calling" }, [{ kind: "call_start" }]);
    case "retry":
      if (state.name === "suspect") return { machine, effects: [{ kind: "diagnose", run: state.run }] };
      if (state.name !== "unreachable") return same(machine);
      if (state.run === null) return to(machine, { name: "starting", step: "calling" }, [{ kind: "call_start" }]);
      return { machine, effects: [{ kind: "diagnose", run: state.run }] };
    case "grace":
      if (state.name !== "unreachable") return same(machine);
      return { machine, effects: [{ kind: "abandon_workers", reason: state.reason }] };
    default:
      return unreachable(timer);
  }
}

function onStopRequested(machine: HiveMachine, workers: "stop" | "keep"): HiveTransition {
  if (machine.state.name === "stopping") return same(machine);
  // Also for a hive that seems stopped: only the host can prove that nothing of it is left.
  return to(machine, { name: "stopping", run: runOf(machine.state), workers }, [
    { kind: "disconnect" },
    { kind: "stop_hive", workers },
  ]);
}

function onStopEnded(machine: HiveMachine, left: readonly string[]): HiveTransition {
  if (machine.state.name !== "stopping") return same(machine);
  if (left.length === 0) return to({ ...machine, lastError: null }, { name: "stopped" }, []);
  const reason = `may still run: ${left.join("; ")}`;
  return to({ ...machine, lastError: reason }, { name: "failed", reason }, []);
}

function suspect(
  machine: HiveMachine,
  run: HiveIdentity,
  reason: Extract<HiveMachineState, { name: "suspect" }>["reason"],
  detail: string,
  atMs: number,
): HiveTransition {
  return to({ ...machine, lastError: detail }, { name: "suspect", run, reason, sinceMs: atMs }, [
    { kind: "disconnect" },
    { kind: "diagnose", run },
  ]);
}

function crash(machine: HiveMachine, reason: string, atMs: number, policy: HivePolicy): HiveTransition {
  const recentFailuresMs = [...machine.recentFailuresMs.filter((ms) => atMs - ms < policy.breakerWindowMs), atMs];
  const failed = { ...machine, recentFailuresMs, lastError: reason };
  if (recentFailuresMs.length > policy.breakerRestarts) return fail(failed, reason);
  return to({ ...failed, attempt: machine.attempt + 1 }, { name: "crashed", reason }, [
    { kind: "disconnect" },
    schedule("restart", machine.attempt),
  ]);
}

function fail(machine: HiveMachine, reason: string): HiveTransition {
  return to({ ...machine, lastError: reason }, { name: "failed", reason }, [{ kind: "disconnect" }, schedule("reopen", 0)]);
}

function connectTo(machine: HiveMachine, run: HiveIdentity, first: readonly HiveEffect[]): HiveTransition {
  return to(machine, { name: "starting", step: "connecting", run }, [...first, { kind: "connect", run }]);
}

/** A run that lasted as long as the breaker's window forgives the back-off of earlier failures. */
function forgiveAfterStableRun(machine: HiveMachine, atMs: number, policy: HivePolicy): HiveMachine {
  const { state } = machine;
  return state.name === "running" && atMs - state.sinceMs >= policy.breakerWindowMs ? { ...machine, attempt: 0 } : machine;
}

function isCalling(state: HiveMachineState): boolean {
  return state.name === "starting" && state.step === "calling";
}

function isWatched(state: HiveMachineState): boolean {
  return (state.name === "starting" && state.step === "connecting") || state.name === "running" || state.name === "suspect";
}

function runEpoch(state: HiveMachineState): number | null {
  return runOf(state)?.hive_epoch ?? null;
}

function schedule(timer: HiveTimer, attempt: number): HiveEffect {
  return { kind: "schedule", timer, attempt };
}

function to(machine: HiveMachine, state: HiveMachineState, effects: readonly HiveEffect[]): HiveTransition {
  return { machine: { ...machine, state }, effects };
}

function same(machine: HiveMachine): HiveTransition {
  return { machine, effects: [] };
}
