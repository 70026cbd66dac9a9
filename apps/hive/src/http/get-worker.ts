import type { Handler } from "@queen-and-hive/daemon";
import { type HIVE_ENDPOINTS, QhError } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

/** `GET /v1/workers/{id}`: one worker. */
export function getWorker(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getWorker, HiveCaller> {
  return async ({ params }) => {
    const record = hive.supervision.get(workerParam(params.worker_id));
    if (record === null) throw new QhError("worker_not_found", `cannot find ${params.worker_id}: this hive keeps no such worker`);
    return { body: record };
  };
}
