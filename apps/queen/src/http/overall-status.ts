import type { HiveState, QueenHealth } from "@queen-and-hive/protocol";
import type { QueenView } from "./queen-view.ts";

/**
 * How the queen is as a whole: `starting` until a hive runs, `degraded` while not all of them do that should: what an
 * operator stopped or drained, and a host that may be off, degrades nothing.
 */
export function overallStatus(queen: QueenView): QueenHealth["status"] {
  if (queen.phase() === "stopping") return "stopping";
  const states = queen.hives().flatMap(({ state, presence }) => (presence === "best_effort" && isAway(state) ? [] : [state]));
  // A queen in front of upstreams alone.
  if (queen.hives().length === 0) return "ok";
  if (states.every((state) => AT_REST.has(state)) && states.includes("running")) return "ok";
  if (states.includes("running")) return "degraded";
  return states.every((state) => state === "starting" || state === "stopped") ? "starting" : "degraded";
}

const AT_REST: ReadonlySet<HiveState> = new Set(["running", "stopped", "draining"]);

function isAway(state: HiveState): boolean {
  return state === "unreachable" || state === "starting";
}

/** Whether requests are taken: a hive runs, or an upstream has a model. */
export function isReady(queen: QueenView): boolean {
  if (queen.phase() !== "serving") return false;
  if (queen.hives().some((hive) => hive.state === "running")) return true;
  return queen.models().some((model) => queen.whereIs(model.id).length > 0);
}
