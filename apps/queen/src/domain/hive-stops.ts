import { FOUND, type HiveTransition, same, to } from "./hive-moves.ts";
import { type HiveMachine, runOf } from "./hive-states.ts";

/** It is to be stopped. While the daemon alone is being ended, an order to stop the workers too is carried out after that. */
export function onStopRequested(machine: HiveMachine, workers: "stop" | "keep"): HiveTransition {
  const { state } = machine;
  if (state.name !== "stopping") {
    // Also for a hive that seems stopped: only the host can prove that nothing of it is left.
    return to({ ...machine, ...FOUND }, { name: "stopping", run: runOf(state), workers, next: "rest" }, [
      { kind: "disconnect" },
      { kind: "stop_hive", workers },
    ]);
  }
  // What is stopped with its workers cannot be had more thoroughly, and the more thorough order stands.
  const next = state.workers === "keep" && (workers === "stop" || state.next === "stop") ? "stop" : "rest";
  return next === state.next ? same(machine) : to(machine, { ...state, next }, []);
}

/** Its daemon is to be ended, its workers kept, and started again. What is being stopped already is not started again. */
export function onRestartRequested(machine: HiveMachine): HiveTransition {
  if (machine.state.name === "stopping") return same(machine);
  return to({ ...machine, ...FOUND }, { name: "stopping", run: runOf(machine.state), workers: "keep", next: "start" }, [
    { kind: "disconnect" },
    { kind: "stop_hive", workers: "keep" },
  ]);
}

/** The host has proven that nothing is left, or what may be. */
export function onStopEnded(machine: HiveMachine, left: readonly string[]): HiveTransition {
  const { state } = machine;
  if (state.name !== "stopping") return same(machine);
  const reason = left.length === 0 ? null : `may still run: ${left.join("; ")}`;
  if (state.next === "stop") {
    return to({ ...machine, lastError: reason }, { ...state, workers: "stop", next: "rest" }, [
      { kind: "stop_hive", workers: "stop" },
    ]);
  }
  if (state.next === "start") {
    // Also where its end could not be proven: a start adopts a daemon that still runs, and an operator wants it to run.
    return to({ ...machine, attempt: 0, recentFailuresMs: [], lastError: reason }, { name: "starting", step: "calling" }, [
      { kind: "call_start" },
    ]);
  }
  if (reason === null) return to({ ...machine, lastError: null }, { name: "stopped" }, []);
  return to({ ...machine, lastError: reason }, { name: "failed", reason, hasBeenStopped: true }, []);
}
