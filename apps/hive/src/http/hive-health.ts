import type { HiveHealth } from "@queen-and-hive/protocol";
import type { HiveParts } from "./hive-parts.ts";

/** The daemon's identity with its status, as `GET /health` answers it. */
export function hiveHealth(hive: HiveParts): HiveHealth {
  const { url: _url, ...identity } = hive.identity();
  return { status: hive.status(), ...identity };
}
