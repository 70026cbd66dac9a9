import type { Peer } from "@queen-and-hive/daemon";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";

const READY_WITHIN_MS = 60_000;

/** Waits until a queen has so many ready workers, of one model where it is named, and returns them. */
export function readyWorkers(
  queen: Peer,
  count: number,
  { model, withinMs = READY_WITHIN_MS }: { readonly model?: string; readonly withinMs?: number } = {},
): Promise<readonly WorkerRecord[]> {
  return until(
    async () => {
      const { workers } = await queen.call(QUEEN_ENDPOINTS.listWorkers);
      const ready = workers.filter((worker) => worker.state === "ready" && (model === undefined || worker.model === model));
      return ready.length >= count ? ready : null;
    },
    withinMs,
    `${count} ready workers${model === undefined ? "" : ` of ${model}`}`,
  );
}
