import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { logSchema, stopSchema, value, WORKER_HEALTH_DEFAULTS, workerHealthSchema } from "./common.ts";

/**
 * The hive's configuration: `hive run --config F` (YAML), `state_dir/hive.json`, and the `config` of a start request.
 * Secrets are not in it: `state_dir/secrets/` has them.
 */
export const hiveConfigSchema = {
  type: "object",
  properties: {
    hive_id: value.hiveId,
    listen: value.listen,
    state_dir: value.path,
    worker_ports: value.portRange,
    ports_per_worker: { type: "integer", minimum: 1, maximum: 16 },
    worker_host: { type: "string", minLength: 1 },
    models_dir: value.path,
    model_roots: { type: "array", items: value.path },
    env: value.stringMap,
    runtimes: {
      type: "object",
      additionalProperties: { type: "object", properties: { bin: value.path }, additionalProperties: false },
    },
    devices: {
      type: "object",
      properties: { use: { type: "array", items: { type: "string" } }, keep_free: value.size },
      additionalProperties: false,
    },
    log: logSchema,
    beat: value.duration,
    sample_every: value.duration,
    stop: stopSchema,
    shutdown: { type: "object", properties: { budget: value.duration }, additionalProperties: false },
    callback: {
      type: "object",
      properties: {
        timeout: value.duration,
        first: value.duration,
        max: value.duration,
        outbox_entries: { type: "integer", minimum: 1 },
      },
      additionalProperties: false,
    },
    limits: {
      type: "object",
      properties: {
        body: value.size,
        workers: { type: "integer", minimum: 1 },
        slots_per_worker: { type: "integer", minimum: 1 },
        worker_log: value.size,
        worker_logs_kept: { type: "integer", minimum: 1 },
        worker_starts_kept: { type: "integer", minimum: 1 },
        log_tail_lines: { type: "integer", minimum: 1, maximum: 200 },
      },
      additionalProperties: false,
    },
    ready_probe: { type: "object", properties: { first: value.duration, max: value.duration }, additionalProperties: false },
    health: workerHealthSchema,
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveConfigInput = FromSchema<typeof hiveConfigSchema>;

/** What a hive does when nothing else is said. `hive_id` and `state_dir` default to the machine's own. */
export const HIVE_CONFIG_DEFAULTS = {
  hive_id: "local",
  listen: "127.0.0.1:9200",
  worker_ports: "17900-17999",
  ports_per_worker: 1,
  worker_host: "127.0.0.1",
  env: {},
  runtimes: {},
  devices: { keep_free: "0B" },
  log: { level: "info", format: "auto", max_size: "20MiB", keep: 5 },
  beat: "2s",
  sample_every: "5s",
  stop: { term: "8s", verify: "5s" },
  shutdown: { budget: "30s" },
  callback: { timeout: "5s", first: "100ms", max: "5s", outbox_entries: 10_000 },
  limits: {
    body: "1MiB",
    workers: 256,
    slots_per_worker: 1024,
    worker_log: "20MiB",
    worker_logs_kept: 3,
    worker_starts_kept: 5,
    log_tail_lines: 50,
  },
  ready_probe: { first: "50ms", max: "1s" },
  health: WORKER_HEALTH_DEFAULTS,
} as const satisfies HiveConfigInput;
