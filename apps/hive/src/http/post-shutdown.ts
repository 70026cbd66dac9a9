import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `POST /v1/shutdown`: stops the workers or keeps them, answers with their fate, then ends the daemon. */
export function postShutdown(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.postShutdown, HiveCaller> {
  return async ({ body, response }) => {
    const answer = await hive.shutDown(body.workers, hive.deadlineIn(body.deadline_ms));
    // A caller that has left meanwhile does not undo it.
    if (response.closed) hive.end();
    else response.once("close", () => hive.end());
    return { body: answer, headers: { connection: "close" } };
  };
}
