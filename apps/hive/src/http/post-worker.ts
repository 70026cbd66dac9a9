import type { Handler } from "@queen-and-hive/daemon";
import { type HIVE_ENDPOINTS, QhError } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** The same worker with the same spec was there already. */
const STATUS_ALREADY_THERE = 200;

/** `POST /v1/workers`: spawns a worker for the owning queen and answers without waiting for its model. */
export function postWorker(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.postWorker, HiveCaller> {
  return async ({ body }) => {
    if (hive.status() === "stopping")
      throw new QhError("shutting_down", "cannot spawn a worker: this hive is ending", { retryAfterS: 1 });
    const { queen_id, queen_epoch, queen_url } = body;
    hive.ownership.claim({ queen_id, queen_epoch, queen_url });
    const { record, created } = await hive.supervision.spawn(body);
    return { body: record, ...(created ? {} : { status: STATUS_ALREADY_THERE }) };
  };
}
