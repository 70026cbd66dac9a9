import { type BackoffPolicy, backoffMs, type Clock, createPeer, type Log } from "@queen-and-hive/daemon";
import { HIVE_ENDPOINTS, QhError, type WorkerReadyCallback } from "@queen-and-hive/protocol";
import type { WorkerCallback } from "../config/worker-config.ts";

/** Waits between attempts; they go on until the hive answers, since only it can say that nobody waits any more. */
const RETRY: BackoffPolicy = { firstMs: 100, factor: 2, maxMs: 5_000, jitter: 0.2 };
/** How long one attempt may take. */
const ATTEMPT_MS = 5_000;
/** Answers after which asking again is of no use: the hive does not know us, or not any more. */
const FINAL_STATUSES = [400, 401, 403, 404, 409, 410];

/** How an announcement ended: the hive has it, it does not want it, or we stopped first. */
export type Announcement = "accepted" | "refused" | "stopped";

/** What an announcement needs. */
export interface AnnounceOptions {
  readonly callback: WorkerCallback;
  readonly message: WorkerReadyCallback;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Tells the hive that this worker is ready, until it is acknowledged or finally refused. Never throws for the hive's sake. */
export async function announceReady(options: AnnounceOptions, signal: AbortSignal): Promise<Announcement> {
  const { callback, message, clock, log, random } = options;
  await using peer = createPeer({
    url: callback.address,
    token: () => callback.token,
    name: "hive",
    timeoutMs: ATTEMPT_MS,
    maxSockets: 1,
  });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await peer.call(HIVE_ENDPOINTS.postWorkerReady, { body: message, signal });
      log.info("the hive knows that this worker is ready", { attempts: attempt + 1 });
      return "accepted";
    } catch (error) {
      if (signal.aborted) return "stopped";
      if (isFinal(error)) {
        log.error("the hive refuses this worker's readiness; serving goes on", { error });
        return "refused";
      }
      const waitMs = backoffMs(attempt, RETRY, random);
      log.warn("cannot tell the hive that this worker is ready; trying again", { error, wait_ms: Math.round(waitMs) });
      try {
        await clock.sleep(waitMs, signal);
      } catch {
        return "stopped";
      }
    }
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof QhError && FINAL_STATUSES.includes(error.status);
}
