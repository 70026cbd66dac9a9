import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

/** `POST /v1/workers/{id}/drain`: one that does not serve has nothing to finish and stays as it is. */
export function drainWorker(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.drainWorker, HiveCaller> {
  return async ({ params }) => ({ body: await hive.supervision.drain(workerParam(params.worker_id)) });
}
