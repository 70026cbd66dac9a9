import { callingHive } from "./calling-hive.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/workers/ready`: a worker can serve; waiting requests resume before this answers. */
export function postWorkerReady(queen: QueenView): QueenHandler<"postWorkerReady"> {
  return async ({ identity, body }) => ({ body: queen.workerReady(callingHive(identity), body) });
}
