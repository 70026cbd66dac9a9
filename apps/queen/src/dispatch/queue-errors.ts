import { formatDurationMs, QhError } from "@queen-and-hive/protocol";
import type { WaitLimits, WaitMode } from "../domain/queue.ts";
import type { ModelFailure } from "../workers/worker-directory.ts";

/** Too many wait already. */
export function queueFull(modelId: string, maxWaiting: number, retryAfterS: number): QhError {
  const message = `cannot queue the request: ${maxWaiting} already wait for ${modelId}; try again later`;
  return new QhError("queue_full", message, { retryAfterS });
}

/** A request is too old: `load_timeout` or `queue_timeout`, by what it waited for last. */
export function waitedTooLong(modelId: string, mode: WaitMode, limits: WaitLimits): QhError {
  return mode === "load"
    ? new QhError(
        "load_timeout",
        `cannot wait longer than ${formatDurationMs(limits.loadWaitMs)} for ${modelId} to load; try again later`,
      )
    : new QhError(
        "queue_timeout",
        `cannot wait longer than ${formatDurationMs(limits.maxWaitMs)} for a free slot of ${modelId}; try again later`,
      );
}

/** No worker can be had: `no_hive_available` or `model_unavailable` with its cause. */
export function modelUnavailable(failure: ModelFailure): QhError {
  return new QhError(failure.cause === "no_hive_available" ? "no_hive_available" : "model_unavailable", failure.message, {
    param: "model",
    details: { cause: failure.cause },
    retryAfterS: failure.retryAfterS,
  });
}
