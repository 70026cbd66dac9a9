import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `PUT /v2/hives/{id}`: the queen looks into her configuration file again and takes this hive from there. */
export function putHive(queen: QueenView): QueenHandler<"putHive"> {
  return async ({ params, identity }) => ({ body: await queen.orders.take(params.hive_id, actorOf(identity)) });
}
