import { type HiveIdentity, unreachable } from "@queen-and-hive/protocol";
import {
  callStart,
  connectTo,
  crash,
  FOUND,
  fail,
  forgiveAfterStableRun,
  type HiveTransition,
  isCalling,
  isLooking,
  isWatched,
  loseHost,
  runEpoch,
  same,
  schedule,
  suspect,
  to,
} from "./hive-moves.ts";
import { onReplaceTimer, timeAbsence } from "./hive-replacement.ts";
import type { HiveMachine, HiveMachineEvent, HiveMachineState, HivePolicy, HiveTimer } from "./hive-states.ts";
import { onRestartRequested, onStopEnded, onStopRequested } from "./hive-stops.ts";

/**
 * The life cycle of a hive as the queen sees it:
 * `stopped -> starting -> running <-> suspect -> crashed | hung | unreachable -> (restart) starting`, `stopping`, `failed`
 * (breaker open, or refused for good); one that runs and is drained is called `draining`. Events that a state does not wait
 * for change nothing.
 */
export function nextHive(machine: HiveMachine, event: HiveMachineEvent, policy: HivePolicy): HiveTransition {
  return timeAbsence(machine, step(machine, event, policy));
}

function step(machine: HiveMachine, event: HiveMachineEvent, policy: HivePolicy): HiveTransition {
  switch (event.type) {
    case "start_requested":
      return onStartRequested(machine, event.recorded ?? null);
    case "look_answered":
      // Only the look that we wait for counts.
      return isLooking(machine.state) ? connectTo(machine, event.run, []) : same(machine);
    case "look_failed":
      return onLookFailed(machine, event);
    case "start_answered":
      return onStartAnswered(machine, event.run);
    case "start_refused":
      return onStartRefused(machine, event, policy);
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
      return onTimer(machine, event.timer, policy);
    case "drain_requested":
      return machine.isDrained ? same(machine) : { machine: { ...machine, isDrained: true }, effects: [] };
    case "resume_requested":
      return machine.isDrained ? { machine: { ...machine, isDrained: false }, effects: [] } : same(machine);
    case "stop_requested":
      return onStopRequested(machine, event.workers);
    case "restart_requested":
      return onRestartRequested(machine);
    case "stop_ended":
      return onStopEnded(machine, event.left);
    default:
      return unreachable(event);
  }
}

/** A daemon that an earlier queen knew is looked for first; `hive start`, which takes longer, does whatever else is needed. */
function onStartRequested(machine: HiveMachine, recorded: HiveIdentity | null): HiveTransition {
  switch (machine.state.name) {
    case "stopped":
    case "failed":
    case "crashed":
    case "unreachable": {
      const anew: HiveMachine = { ...machine, attempt: 0, recentFailuresMs: [], lastError: null };
      return recorded === null
        ? callStart(anew)
        : to(anew, { name: "starting", step: "looking", recorded }, [{ kind: "look", recorded }]);
    }
    case "starting":
    case "running":
    case "suspect":
    case "hung":
    case "stopping":
      // Already on its way, or on its way out: a start now would race with what runs.
      return same(machine);
    default:
      return unreachable(machine.state);
  }
}

function onLookFailed(
  machine: HiveMachine,
  { why, error, atMs }: Extract<HiveMachineEvent, { type: "look_failed" }>,
): HiveTransition {
  // A look that nobody waits for any more (a stop was asked for meanwhile) starts nothing.
  if (!isLooking(machine.state)) return same(machine);
  return why === "other" ? callStart(machine) : loseHost(machine, error, atMs);
}

function onStartAnswered(machine: HiveMachine, run: HiveIdentity): HiveTransition {
  // Only the call that we wait for counts; the hive's own announcement may have been faster.
  return isCalling(machine.state) ? connectTo(machine, run, []) : same(machine);
}

function onStartRefused(
  machine: HiveMachine,
  event: Extract<HiveMachineEvent, { type: "start_refused" }>,
  policy: HivePolicy,
): HiveTransition {
  // An answer that comes after we stopped waiting for it (a stop was asked for meanwhile) changes nothing.
  if (!isCalling(machine.state)) return same(machine);
  if (event.why === "final") return fail(machine, event.error);
  if (event.why === "failed") return crash(machine, event.error, event.atMs, policy);
  return loseHost(machine, event.error, event.atMs);
}

function onConnected(machine: HiveMachine, run: HiveIdentity, atMs: number): HiveTransition {
  const { state } = machine;
  const awaited = (state.name === "starting" && state.step === "connecting") || state.name === "suspect";
  if (!awaited || run.hive_epoch < state.run.hive_epoch) return same(machine);
  return to({ ...machine, lastError: null, ...FOUND, isReplaced: false }, { name: "running", run, sinceMs: atMs }, []);
}

function onLinkLost(
  machine: HiveMachine,
  event: Extract<HiveMachineEvent, { type: "link_lost" }>,
  policy: HivePolicy,
): HiveTransition {
  const { state } = machine;
  if (runEpoch(state) !== event.epoch) return same(machine);
  if (state.name === "running" || (state.name === "starting" && state.step === "connecting")) {
    const isHasty = state.name === "running" && event.atMs - state.sinceMs < policy.linkStandsMinMs;
    const known = forgiveAfterStableRun(machine, event.atMs, policy);
    return suspect(known, state.run, event.reason, event.detail, event.atMs, isHasty);
  }
  // A connection that fails while suspect is tried again after a pause, beginning with a new diagnosis.
  if (state.name === "suspect") {
    return { machine: { ...machine, lastError: event.detail }, effects: [{ kind: "disconnect" }, schedule("retry", 0)] };
  }
  return same(machine);
}

function onDiagnosed(
  before: HiveMachine,
  event: Extract<HiveMachineEvent, { type: "diagnosed" }>,
  policy: HivePolicy,
): HiveTransition {
  if (!isDoubted(before.state) || before.state.run.hive_epoch !== event.epoch) return same(before);
  // Whatever else is found between two times that it is mute begins anew.
  const isUnmuted = before.state.name === "suspect" && before.state.isMute && event.finding !== "mute";
  const state: Doubted = isUnmuted ? { ...before.state, isMute: false } : before.state;
  const machine = { ...before, state };
  const lost = { ...machine, lostAtMs: machine.lostAtMs ?? event.atMs };
  switch (event.finding) {
    case "gone":
      return crash(machine, event.detail, event.atMs, policy);
    case "answers":
      if (state.name === "unreachable") return connectTo(machine, state.run, []);
      // One that answers, connects and is lost at once, again and again, would keep us busy with nothing else.
      if (state.isHasty) return to(machine, { ...state, isHasty: false }, [schedule("retry", 0)]);
      return { machine, effects: [{ kind: "connect", run: state.run }] };
    case "mute":
      return onMute(lost, state, event, policy);
    case "unclear":
      // Nothing says that it is ill: it is only tried again, and after its grace it counts as out of reach.
      if (isWithinGrace(state, event.atMs, policy)) {
        return { machine: { ...lost, lastError: event.detail }, effects: [schedule("retry", 0)] };
      }
      return outOfReach(lost, state, event.detail);
    case "no_host":
      return outOfReach(lost, state, event.detail);
    default:
      return unreachable(event.finding);
  }
}

/** A diagnosis is made of a run that is known. */
type Doubted = Extract<HiveMachineState, { name: "suspect" | "unreachable" }> & { readonly run: HiveIdentity };

function isDoubted(state: HiveMachineState): state is Doubted {
  return state.name === "suspect" || (state.name === "unreachable" && state.run !== null);
}

function isWithinGrace(state: Doubted, atMs: number, policy: HivePolicy): boolean {
  return state.name === "suspect" && atMs - state.sinceMs < policy.suspectGraceMs;
}

/** It is tried again for as long as it lasts; its workers are given up after their grace. */
function outOfReach(lost: HiveMachine, state: Doubted, detail: string): HiveTransition {
  const machine = { ...lost, lastError: detail };
  if (state.name === "unreachable") return { machine, effects: [schedule("retry", 0)] };
  return to(machine, { name: "unreachable", run: state.run, reason: detail }, [
    { kind: "disconnect" },
    schedule("retry", 0),
    schedule("grace", 0),
  ]);
}

/**
 * A daemon that lives and is mute is ended after its grace, unless we are the one who is ill. It has to be found mute twice in
 * a row: hives that were lost together are then known to the guard before the first of them is ended.
 */
function onMute(
  lost: HiveMachine,
  state: Doubted,
  event: Extract<HiveMachineEvent, { type: "diagnosed" }>,
  policy: HivePolicy,
): HiveTransition {
  const again = [schedule("retry", 0)];
  // While it was unreachable it may have been mute for long: its grace begins when its host answers again.
  if (state.name === "unreachable") {
    const { run } = state;
    const anew = { name: "suspect", run, reason: "health_failed", sinceMs: event.atMs, isHasty: false, isMute: true } as const;
    return to(lost, anew, again);
  }
  if (!state.isMute) return to(lost, { ...state, isMute: true }, again);
  if (isWithinGrace(state, event.atMs, policy) || policy.isFrozen) return { machine: lost, effects: again };
  return to({ ...lost, lastError: event.detail }, { name: "hung", run: state.run }, [
    { kind: "disconnect" },
    { kind: "end_daemon", run: state.run },
  ]);
}

function onAnnounced(machine: HiveMachine, run: HiveIdentity): HiveTransition {
  const { state } = machine;
  switch (state.name) {
    case "stopped":
    case "stopping":
      // The operator's word wins: what was stopped stays so, whoever started the daemon again.
      return same(machine);
    case "failed":
      return state.hasBeenStopped ? same(machine) : connectTo(machine, run, []);
    case "crashed":
      return connectTo(machine, run, []);
    case "starting":
    case "running":
    case "suspect":
    case "hung":
    case "unreachable": {
      // The look finds what was recorded, or else `hive start` finds the newer run: that one has to hear what a start tells it.
      if (isLooking(state)) return same(machine);
      const known = runEpoch(state);
      if (known !== null && run.hive_epoch <= known) return same(machine);
      return connectTo(machine, run, known === null ? [] : [{ kind: "disconnect" }]);
    }
    default:
      return unreachable(state);
  }
}

function onTimer(machine: HiveMachine, timer: HiveTimer, policy: HivePolicy): HiveTransition {
  const { state } = machine;
  switch (timer) {
    case "restart":
    case "reopen":
      // A late timer of a state that was left meanwhile has nothing to do.
      if (state.name !== (timer === "restart" ? "crashed" : "failed")) return same(machine);
      return callStart({ ...machine, restarts: machine.restarts + 1 });
    case "retry":
      if (state.name === "suspect") return { machine, effects: [{ kind: "diagnose", run: state.run }] };
      if (state.name !== "unreachable") return same(machine);
      // It never ran as far as we know: the start itself is what is tried, without a change of state at every try.
      return { machine, effects: [state.run === null ? { kind: "call_start" } : { kind: "diagnose", run: state.run }] };
    case "grace":
      if (state.name !== "unreachable") return same(machine);
      return { machine, effects: [{ kind: "abandon_workers", reason: state.reason }] };
    case "replace":
      return onReplaceTimer(machine, policy);
    default:
      return unreachable(timer);
  }
}
