import type { Handler } from "@queen-and-hive/daemon";
import { type HIVE_ENDPOINTS, QhError } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

/** `POST /v1/workers/{id}/check`: answered at once; what comes of it is told as a change of state. */
export function checkWorker(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.checkWorker, HiveCaller> {
  return async ({ params }) => {
    const workerId = workerParam(params.worker_id);
    hive.supervision.doubt(workerId);
    const record = hive.supervision.get(workerId);
    if (record === null) throw new QhError("worker_not_found", `cannot find ${workerId} on this hive; it may have been stopped`);
    return { body: record };
  };
}
