import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/hives/{id}/resume`: an operator takes a drained hive into use again. */
export function postHiveResume(queen: QueenView): QueenHandler<"postHiveResume"> {
  return async ({ params, identity }) => ({ body: await queen.orders.resume(params.hive_id, actorOf(identity)) });
}
