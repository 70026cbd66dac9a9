import type { QueenHandler, QueenView } from "./queen-view.ts";

/** How many lines are read unless `tail` says otherwise. */
const TAIL_DEFAULT = 200;

/** `GET /v2/hives/{id}/logs`: the last lines of the daemon's own log, read on its host. */
export function getHiveLogs(queen: QueenView): QueenHandler<"getHiveLogs"> {
  return async ({ params, query, signal }) => {
    const lines = query.tail === undefined ? TAIL_DEFAULT : Number(query.tail);
    return { body: await queen.orders.logs(params.hive_id, lines, signal) };
  };
}
