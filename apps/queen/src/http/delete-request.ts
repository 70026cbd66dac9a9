import { QhError } from "@queen-and-hive/protocol";
import { actorOf } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `DELETE /v2/requests/{id}`: an operator ends an open request. */
export function deleteRequest(queen: QueenView): QueenHandler<"deleteRequest"> {
  return async ({ params, identity }) => {
    const { request_id } = params;
    if (!queen.requests().some((request) => request.request_id === request_id)) {
      throw new QhError("request_not_found", `cannot find an open request ${JSON.stringify(request_id)}; it may have ended`);
    }
    queen.store.commit({ events: [{ kind: "request.cancelled", actor: actorOf(identity), request_id }] });
    return { body: { request_id, cancelled: queen.cancelRequest(request_id) } };
  };
}
