import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `DELETE /v2/hives/{id}`: stops the hive and forgets it. Throws `stop_failed` while something of it may be left. */
export function deleteHive(queen: QueenView): QueenHandler<"deleteHive"> {
  return async ({ params, query, identity }) => ({
    body: await queen.orders.remove(params.hive_id, query.force === "true", actorOf(identity)),
  });
}
