import { unreachable } from "@queen-and-hive/protocol";
import { type HiveTransition, same, schedule } from "./hive-moves.ts";
import type { HiveMachine, HiveMachineState, HivePolicy } from "./hive-states.ts";

/**
 * Has the workers of a hive replaced when it does not run for long, whatever it goes through meanwhile: a hive that cannot be
 * started serves as little as one that is out of reach.
 */
export function timeAbsence(before: HiveMachine, next: HiveTransition): HiveTransition {
  if (isAwaited(before.state) || !isAwaited(next.machine.state)) return next;
  return { ...next, effects: [...next.effects, schedule("replace", 0)] };
}

/** It has not run for long: others take the place of its workers until it runs. */
export function onReplaceTimer(machine: HiveMachine, policy: HivePolicy): HiveTransition {
  // A late timer of an absence that is over.
  if (!isAwaited(machine.state) || machine.isReplaced) return same(machine);
  if (policy.isFrozen) return { machine, effects: [schedule("replace", 0)] };
  return { machine: { ...machine, isReplaced: true }, effects: [] };
}

/** It does not run and is meant to. */
function isAwaited(state: HiveMachineState): boolean {
  switch (state.name) {
    case "starting":
    case "suspect":
    case "crashed":
    case "hung":
    case "unreachable":
      return true;
    case "running":
    case "stopped":
      return false;
    case "stopping":
      return state.next === "start";
    case "failed":
      return !state.hasBeenStopped;
    default:
      return unreachable(state);
  }
}
