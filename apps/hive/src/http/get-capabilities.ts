import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `GET /v1/capabilities`: devices, memory, disk and runtimes of this machine. */
export function getCapabilities(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getCapabilities, HiveCaller> {
  return async () => ({ body: await hive.capabilities() });
}
