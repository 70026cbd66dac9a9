import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/{id}/stop`: an operator stops a hive; it stays so. Answers when that is proven or has failed. */
export function postHiveStop(queen: QueenView): QueenHandler<"postHiveStop"> {
  return async ({ params, body, identity }) => ({
    body: await queen.orders.stop(params.hive_id, body.workers ?? "stop", actorOf(identity)),
  });
}
