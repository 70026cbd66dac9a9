import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v2/requests`: every request that has arrived and not ended. */
export function listRequests(queen: QueenView): QueenHandler<"listRequests"> {
  return async () => ({ body: { requests: [...queen.requests()] } });
}
