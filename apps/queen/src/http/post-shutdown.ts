import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `POST /v2/shutdown`: the stop cascade; answers with the fate of every hive when it is over, then the queen ends. */
export function postShutdown(queen: QueenView): QueenHandler<"postShutdown"> {
  return async ({ body, identity }) => ({ body: await queen.shutdown(body.hives, actorOf(identity)) });
}
