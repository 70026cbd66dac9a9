import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/{id}/restart`: ends a hive's daemon and starts it again; its workers go on. */
export function postHiveRestart(queen: QueenView): QueenHandler<"postHiveRestart"> {
  return async ({ params, identity }) => ({ body: await queen.orders.restart(params.hive_id, actorOf(identity)) });
}
