import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/{id}/drain`: an operator sends a hive nothing new. */
export function postHiveDrain(queen: QueenView): QueenHandler<"postHiveDrain"> {
  return async ({ params, identity }) => ({ body: await queen.orders.drain(params.hive_id, actorOf(identity)) });
}
