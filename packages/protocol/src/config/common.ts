import type { JsonSchema } from "../endpoint.ts";
import { ID_PATTERNS } from "../ids.ts";
import { DURATION_PATTERN, SIZE_PATTERN } from "../units.ts";

/** Schemas of values that both configuration files use. Durations and sizes are written as people write them. */
export const value = {
  duration: { type: "string", pattern: DURATION_PATTERN, description: "a duration such as 500ms, 10s, 5m, 2h, 1d or off" },
  size: { type: "string", pattern: SIZE_PATTERN, description: "a size such as 512MiB or 22GiB" },
  hiveId: {
    type: "string",
    pattern: ID_PATTERNS.hive,
    description: "1 to 63 of a-z, 0-9 and -, starting with a letter or digit",
  },
  listen: {
    type: "string",
    pattern: "^(\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$",
    description: "host:port, port 0 for any free one",
  },
  path: { type: "string", minLength: 1, maxLength: 4096, description: "a path" },
  portRange: { type: "string", pattern: "^[0-9]{1,5}-[0-9]{1,5}$", description: "a range of ports such as 17900-17999" },
  stringMap: { type: "object", additionalProperties: { type: "string" } },
} as const satisfies Record<string, JsonSchema>;

/** `stop:` how long a process gets after TERM, and how long its end is verified after KILL. */
export const stopSchema = {
  type: "object",
  properties: { term: value.duration, verify: value.duration },
  additionalProperties: false,
} as const satisfies JsonSchema;

/**
 * How long a worker that was ready may neither answer nor make progress until it gets no more requests (`hung_after`, `off`
 * for never), and from then on until it is replaced.
 */
export const workerHealthSchema = {
  type: "object",
  properties: { interval: value.duration, timeout: value.duration, hung_after: value.duration, replace_after: value.duration },
  additionalProperties: false,
} as const satisfies JsonSchema;

/** How workers are looked at when nothing else is said. */
export const WORKER_HEALTH_DEFAULTS = { interval: "10s", timeout: "5s", hung_after: "60s", replace_after: "30s" } as const;

/** `restart:` back-off and breaker of what crashed. */
export const restartSchema = {
  type: "object",
  properties: {
    first: value.duration,
    factor: { type: "number", minimum: 1 },
    max: value.duration,
    jitter: { type: "number", minimum: 0, maximum: 1 },
    breaker: {
      type: "object",
      properties: {
        restarts: { type: "integer", minimum: 1 },
        window: value.duration,
        unready_in_a_row: { type: "integer", minimum: 1 },
      },
      additionalProperties: false,
    },
    retry_open_every: value.duration,
  },
  additionalProperties: false,
} as const satisfies JsonSchema;

/** `log:` how much is written; the place is `state_dir/logs/`. */
export const logSchema = {
  type: "object",
  properties: {
    level: { enum: ["debug", "info", "warn", "error"] },
    format: { enum: ["auto", "json", "pretty"] },
    max_size: value.size,
    keep: { type: "integer", minimum: 1 },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
