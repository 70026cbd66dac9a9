import type { HiveIdentity } from "@queen-and-hive/protocol";
import {
  type HiveEffect,
  type HiveMachine,
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

/** What is forgotten once it is known again what became of a hive. That others replace its workers lasts until it runs. */
export const FOUND = { lostAtMs: null } as const;

/** Contact was lost: nothing new goes there, and it is found out why. */
export function suspect(
  machine: HiveMachine,
  run: HiveIdentity,
  reason: Extract<HiveMachineState, { name: "suspect" }>["reason"],
  detail: string,
  atMs: number,
  isHasty = false,
): HiveTransition {
  return to({ ...machine, lastError: detail }, { name: "suspect", run, reason, sinceMs: atMs, isHasty, isMute: false }, [
    { kind: "disconnect" },
    { kind: "diagnose", run },
  ]);
}

/** It has ended or could not be started: again after a back-off, until the breaker opens. */
export function crash(machine: HiveMachine, reason: string, atMs: number, policy: HivePolicy): HiveTransition {
  const recentFailuresMs = [...machine.recentFailuresMs.filter((ms) => atMs - ms < policy.breakerWindowMs), atMs];
  const failed = { ...machine, recentFailuresMs, lastError: reason, ...FOUND };
  if (recentFailuresMs.length > policy.breakerRestarts) return fail(failed, reason);
  return to({ ...failed, attempt: machine.attempt + 1 }, { name: "crashed", reason }, [
    { kind: "disconnect" },
    schedule("restart", machine.attempt),
  ]);
}

/** The breaker is open, or it refuses us: tried again quietly and rarely. */
export function fail(machine: HiveMachine, reason: string): HiveTransition {
  return to({ ...machine, lastError: reason }, { name: "failed", reason, hasBeenStopped: false }, [
    { kind: "disconnect" },
    schedule("reopen", 0),
  ]);
}

/** `hive start` is run on the host: it starts the daemon, or adopts the one that runs. */
export function callStart(machine: HiveMachine): HiveTransition {
  return to(machine, { name: "starting", step: "calling" }, [{ kind: "call_start" }]);
}

/** The host cannot be reached before anything of the hive is known: the start itself is tried until it can. */
export function loseHost(machine: HiveMachine, reason: string, atMs: number): HiveTransition {
  const lost = { ...machine, lastError: reason, lostAtMs: machine.lostAtMs ?? atMs };
  if (machine.state.name === "unreachable") return { machine: lost, effects: [schedule("retry", 0)] };
  return to(lost, { name: "unreachable", run: null, reason }, [schedule("retry", 0), schedule("grace", 0)]);
}

/** A daemon is known to run: the link to it is opened. */
export function connectTo(machine: HiveMachine, run: HiveIdentity, first: readonly HiveEffect[]): HiveTransition {
  return to(machine, { name: "starting", step: "connecting", run }, [...first, { kind: "connect", run }]);
}

/** A run that lasted as long as the breaker's window forgives the back-off of earlier failures. */
export function forgiveAfterStableRun(machine: HiveMachine, atMs: number, policy: HivePolicy): HiveMachine {
  const { state } = machine;
  return state.name === "running" && atMs - state.sinceMs >= policy.breakerWindowMs ? { ...machine, attempt: 0 } : machine;
}

/** A start call is on its way, or is tried again and again because the host is out of reach. */
export function isCalling(state: HiveMachineState): boolean {
  return (state.name === "starting" && state.step === "calling") || (state.name === "unreachable" && state.run === null);
}

/** A look at the daemon of an earlier queen is under way. */
export function isLooking(state: HiveMachineState): boolean {
  return state.name === "starting" && state.step === "looking";
}

/** There is, or should be, a link. */
export function isWatched(state: HiveMachineState): boolean {
  return (state.name === "starting" && state.step === "connecting") || state.name === "running" || state.name === "suspect";
}

/** The epoch of the daemon that a state knows of. */
export function runEpoch(state: HiveMachineState): number | null {
  return runOf(state)?.hive_epoch ?? null;
}

/** Sets a timer; it replaces one of its kind. */
export function schedule(timer: HiveTimer, attempt: number): HiveEffect {
  return { kind: "schedule", timer, attempt };
}

/** Moves on. */
export function to(machine: HiveMachine, state: HiveMachineState, effects: readonly HiveEffect[]): HiveTransition {
  return { machine: { ...machine, state }, effects };
}

/** The event changes nothing. */
export function same(machine: HiveMachine): HiveTransition {
  return { machine, effects: [] };
}
