import { once } from "node:events";
import { HANDLED, type Handler, type HandlerContext } from "@queen-and-hive/daemon";
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
    await send(context, hive.supervision.followLog(workerId, wanted, signal), signal);
    return HANDLED;
  };
}

/** Writes what comes, as fast as it is read and no faster. */
async function send(
  { response }: HandlerContext<Row, HiveCaller>,
  parts: AsyncIterable<string | Buffer>,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  for await (const part of parts) {
    if (signal.aborted || response.destroyed) break;
    if (!response.write(part)) await once(response, "drain", { signal }).catch(() => undefined);
  }
  response.end();
}
