import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

/** `DELETE /v1/workers/{id}`: stops a worker; answered when it is proven gone. A caller that leaves does not undo it. */
export function deleteWorker(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.deleteWorker, HiveCaller> {
  return async ({ params }) => ({
    body: await hive.supervision.stop(workerParam(params.worker_id), hive.deadlineIn(hive.stopWorkerMs)),
  });
}
