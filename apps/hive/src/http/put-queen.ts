import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { hiveHealth } from "./hive-health.ts";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `PUT /v1/queen`: the owner's newest address; what waits in the outbox goes there at once. The answer says what is kept. */
export function putQueen(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.putQueen, HiveCaller> {
  return async ({ body }) => {
    hive.ownership.claim(body);
    return { body: { ...hiveHealth(hive), kept_sha256: hive.keptStart() } };
  };
}
