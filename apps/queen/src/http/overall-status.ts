import type { QueenHealth } from "@queen-and-hive/protocol";
import type { QueenView } from "./queen-view.ts";

/** How the queen is as a whole: `starting` until a hive runs, `degraded` while not all of them do. */
export function overallStatus(queen: QueenView): QueenHealth["status"] {
  if (queen.phase() === "stopping") return "stopping";
  const states = queen.hives().map((hive) => hive.state);
  // A queen in front of upstreams alone.
  if (states.length === 0) return "ok";
  if (states.every((state) => state === "running" || state === "stopped") && states.includes("running")) return "ok";
  if (states.includes("running")) return "degraded";
  return states.every((state) => state === "starting" || state === "stopped") ? "starting" : "degraded";
}

/** Whether requests are taken: a hive runs, or an upstream has a model. */
export function isReady(queen: QueenView): boolean {
  if (queen.phase() !== "serving") return false;
  if (queen.hives().some((hive) => hive.state === "running")) return true;
  return queen.models().some((model) => queen.whereIs(model.id).length > 0);
}
