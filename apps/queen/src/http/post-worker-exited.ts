import { callingHive } from "./calling-hive.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/workers/exited`: a worker's process has ended. */
export function postWorkerExited(queen: QueenView): QueenHandler<"postWorkerExited"> {
  return async ({ identity, body }) => ({ body: queen.workerExited(callingHive(identity), body) });
}
