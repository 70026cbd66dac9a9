import { unreachable } from "@queen-and-hive/protocol";
import type { Engine } from "./generation.ts";

/** What a worker is doing; the engine exists only where requests can be served. */
export type WorkerLifecycle =
  | { readonly state: "loading"; readonly progress: number }
  | { readonly state: "ready"; readonly engine: Engine }
  | { readonly state: "stopping" };

/** What happens to a worker. `progress` is 0 to 1. */
export type LifecycleEvent =
  | { readonly type: "load_progress"; readonly progress: number }
  | { readonly type: "loaded"; readonly engine: Engine }
  | { readonly type: "stop" };

/** What follows: say that we are ready, or end what is open. */
export type LifecycleEffect = "announce_ready" | "end_requests";

/** The state before anything was loaded. */
export const LOADING: WorkerLifecycle = { state: "loading", progress: 0 };

/** loading -> ready -> stopping; a stop may come at any time and nothing leads out of it. */
export function next(
  now: WorkerLifecycle,
  event: LifecycleEvent,
): { readonly state: WorkerLifecycle; readonly effects: readonly LifecycleEffect[] } {
  switch (event.type) {
    case "load_progress":
      // Reports of the loader may arrive late, after it has finished or when we already stop.
      if (now.state !== "loading") return { state: now, effects: [] };
      return { state: { state: "loading", progress: clamp(Math.max(now.progress, event.progress)) }, effects: [] };
    case "loaded":
      // A stop during the load wins: the model is not announced.
      if (now.state !== "loading") return { state: now, effects: [] };
      return { state: { state: "ready", engine: event.engine }, effects: ["announce_ready"] };
    case "stop":
      if (now.state === "stopping") return { state: now, effects: [] };
      return { state: { state: "stopping" }, effects: ["end_requests"] };
    default:
      return unreachable(event);
  }
}

function clamp(progress: number): number {
  return Math.min(1, Math.max(0, progress));
}
