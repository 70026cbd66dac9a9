import type { Handler } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `GET /metrics`: Prometheus text. */
export function getMetrics(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getMetrics, HiveCaller> {
  return async () => ({ body: await hive.metrics.render(), headers: { "content-type": hive.metrics.contentType } });
}
