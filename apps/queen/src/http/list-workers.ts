import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v2/workers`: every worker of every hive. */
export function listWorkers(queen: QueenView): QueenHandler<"listWorkers"> {
  return async () => ({ body: { workers: [...queen.workers()] } });
}
