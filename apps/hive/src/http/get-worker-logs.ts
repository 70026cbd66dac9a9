import { type Handler, sendText } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { workerParam } from "./worker-param.ts";

type Row = typeof HIVE_ENDPOINTS.getWorkerLogs;

/** `GET /v1/workers/{id}/logs`: the last lines of a worker's own output, and what it writes then when that is wanted. */
export function getWorkerLogs(hive: HiveParts): Handler<Row, HiveCaller> {
  return async (context) => {
    const { params, query } = context;
    const workerId = workerParam(params.worker_id);
    const wanted = query.tail === undefined ? hive.logTailLines : Number(query.tail);
    if (query.follow !== "true") {
      const lines = await hive.supervision.logTail(workerId, wanted);
      return { body: lines.map((line) => `${line}\n`).join("") };
    }
    const signal = AbortSignal.any([context.signal, context.closing]);
    return await sendText(context, hive.supervision.followLog(workerId, wanted, signal), signal);
  };
}
