import type { JsonSchema } from "../endpoint.ts";
import { ID_PATTERNS } from "../ids.ts";

/** Schemas of single fields that many messages share. Times are ISO 8601 in UTC. */
export const field = {
  hiveId: { type: "string", pattern: ID_PATTERNS.hive },
  queenId: { type: "string", pattern: ID_PATTERNS.queen },
  workerId: { type: "string", pattern: ID_PATTERNS.worker },
  epoch: { type: "integer", minimum: 0 },
  sequence: { type: "integer", minimum: 0 },
  incarnation: { type: "integer", minimum: 1 },
  pid: { type: "integer", minimum: 1 },
  /** Field 22 of /proc/<pid>/stat: clock ticks after boot. */
  startTime: { type: "integer", minimum: 0 },
  bootId: { type: "string", minLength: 1, maxLength: 64 },
  /** `http(s)://host:port` or `unix:<absolute path>`. */
  url: { type: "string", pattern: "^(https?://[^\\s/]+|unix:/.+)$", maxLength: 512 },
  time: { type: "string", minLength: 20, maxLength: 40 },
  version: { type: "string", minLength: 1, maxLength: 128 },
  text: { type: "string", maxLength: 8192 },
  protocol: {
    type: "object",
    properties: { min: { type: "integer", minimum: 1 }, max: { type: "integer", minimum: 1 } },
    required: ["min", "max"],
    additionalProperties: false,
  },
} as const satisfies Record<string, JsonSchema>;

/** `{pid, start_time, boot_id}`: what a process is known by. A pid alone is never trusted. */
export const processIdentityProperties = {
  pid: field.pid,
  start_time: field.startTime,
  boot_id: field.bootId,
} as const;
