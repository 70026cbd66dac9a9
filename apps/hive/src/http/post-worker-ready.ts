import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `POST /v1/workers/ready`: a worker can serve. Its token is judged together with the worker that it names. */
export function postWorkerReady(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.postWorkerReady, HiveCaller> {
  return async ({ body, identity }) => ({
    body: await hive.supervision.acceptReady(body, identity.kind === "worker" ? identity.token : null),
  });
}
