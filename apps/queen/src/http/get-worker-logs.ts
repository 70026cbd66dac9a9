import { sendText } from "@queen-and-hive/daemon";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v2/workers/{id}/logs`: the last lines of a worker's own output, and what it writes then when that is wanted. */
export function getWorkerLogs(queen: QueenView): QueenHandler<"getWorkerLogs"> {
  return async (context) => {
    const { params, query } = context;
    if (query.follow !== "true") return { body: await queen.orders.workerLogs(params.worker_id, query, context.signal) };
    const signal = AbortSignal.any([context.signal, context.closing]);
    return await sendText(context, await queen.orders.followWorkerLogs(params.worker_id, query, signal), signal);
  };
}
