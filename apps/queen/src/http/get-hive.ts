import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v2/hives/{id}`: one hive. Throws `hive_not_found`. */
export function getHive(queen: QueenView): QueenHandler<"getHive"> {
  return async ({ params }) => ({ body: queen.orders.record(params.hive_id) });
}
