import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `GET /v1/workers`: every worker that this hive keeps. */
export function listWorkers(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.listWorkers, HiveCaller> {
  return async () => ({ body: { workers: [...hive.supervision.list()] } });
}
