import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";

/** What is looked at on a host before the first start of its hive, and by `queen doctor`. */
export const HIVE_CHECKS = [
  "reachable",
  "host_key",
  "os",
  "arch",
  "glibc",
  "tools",
  "memory",
  "clock",
  "state_dir",
  "disk",
  "install_dir",
  "models_dir",
  "gpu",
  "port",
  "hive",
  "engine",
] as const;

/** One finding on a host: `fail` stops a first start. `advice` is what to do about it; null where all is well. */
export const hiveFindingSchema = {
  type: "object",
  properties: {
    check: { enum: HIVE_CHECKS },
    level: { enum: ["ok", "warn", "fail"] },
    found: { type: "string" },
    advice: { type: ["string", "null"] },
  },
  required: ["check", "level", "found", "advice"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveFinding = FromSchema<typeof hiveFindingSchema>;
