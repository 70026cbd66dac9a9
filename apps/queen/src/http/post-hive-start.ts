import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/{id}/start`: an operator starts a hive; answers before it runs. */
export function postHiveStart(queen: QueenView): QueenHandler<"postHiveStart"> {
  return async ({ params, identity }) => ({ body: await queen.orders.start(params.hive_id, actorOf(identity)) });
}
