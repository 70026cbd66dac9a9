import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

/** `GET /v1/workers/{id}/logs`: the last lines of a worker's own output. */
export function getWorkerLogs(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getWorkerLogs, HiveCaller> {
  return async ({ params, query }) => {
    const wanted = query.tail === undefined ? hive.logTailLines : Number(query.tail);
    const lines = await hive.supervision.logTail(workerParam(params.worker_id), wanted);
    return { body: lines.map((line) => `${line}\n`).join("") };
  };
}
