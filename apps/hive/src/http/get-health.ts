import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { hiveHealth } from "./hive-health.ts";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `GET /health`: who runs here. */
export function getHealth(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getHealth, HiveCaller> {
  return async () => ({ body: hiveHealth(hive) });
}
