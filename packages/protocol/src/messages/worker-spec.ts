import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";
import { runtimeRecipeSchema } from "./runtime-recipe.ts";

const seconds = { type: ["number", "null"], exclusiveMinimum: 0 } as const;

/** When and how often a crashed worker is started again. Seconds; null means never / no limit. */
export const restartPolicySchema = {
  type: "object",
  properties: {
    first_s: { type: "number", minimum: 0 },
    factor: { type: "number", minimum: 1 },
    max_s: { type: "number", minimum: 0 },
    jitter: { type: "number", minimum: 0, maximum: 1 },
    breaker: {
      type: "object",
      properties: {
        restarts: { type: "integer", minimum: 1 },
        window_s: { type: "number", exclusiveMinimum: 0 },
        unready_in_a_row: { type: "integer", minimum: 1 },
      },
      required: ["restarts", "window_s", "unready_in_a_row"],
      additionalProperties: false,
    },
    retry_open_every_s: seconds,
  },
  required: ["first_s", "factor", "max_s", "jitter", "breaker", "retry_open_every_s"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type RestartPolicySpec = FromSchema<typeof restartPolicySchema>;

/** What a worker is to be; addresses are not part of it, so that the same spec compares equal after a move. */
export const workerSpecSchema = {
  type: "object",
  properties: {
    model: {
      type: "object",
      properties: {
        id: { type: "string", minLength: 1, maxLength: 256 },
        path: { type: "string", minLength: 1, maxLength: 4096 },
        source: { type: "string", minLength: 1, maxLength: 4096 },
        files: { type: "object", additionalProperties: { type: "string", minLength: 1, maxLength: 4096 } },
      },
      required: ["id"],
      additionalProperties: false,
    },
    runtime: runtimeRecipeSchema,
    args: { type: "array", maxItems: 1024, items: { type: "string", maxLength: 8192 } },
    env: { type: "object", additionalProperties: { type: "string", maxLength: 32768 } },
    devices: { type: "array", maxItems: 64, items: { type: "string", minLength: 1, maxLength: 128 } },
    slots: { anyOf: [{ type: "integer", minimum: 1, maximum: 65536 }, { const: "auto" }] },
    start: {
      type: "object",
      properties: { silence_s: seconds, total_s: seconds, warmup: { type: "boolean" } },
      required: ["silence_s", "total_s", "warmup"],
      additionalProperties: false,
    },
    restart: restartPolicySchema,
    labels: { type: "object", additionalProperties: { type: "string", maxLength: 256 } },
    /** How many devices the hive chooses where `devices` names none, and how much memory; see `place:`. */
    needs: {
      type: "object",
      properties: {
        devices: { type: "integer", minimum: 0, maximum: 64 },
        memory_bytes: { anyOf: [{ type: "integer", minimum: 0 }, { const: "auto" }] },
      },
      additionalProperties: false,
    },
  },
  required: ["model", "runtime", "args", "env", "devices", "slots", "start", "restart", "labels"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerSpec = FromSchema<typeof workerSpecSchema>;

/** Queen -> hive `POST /v1/workers`. Idempotent by `worker_id` and `spec`. */
export const spawnRequestSchema = {
  type: "object",
  properties: {
    worker_id: field.workerId,
    queen_id: field.queenId,
    queen_epoch: field.epoch,
    queen_url: field.url,
    spec: workerSpecSchema,
  },
  required: ["worker_id", "queen_id", "queen_epoch", "queen_url", "spec"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type SpawnRequest = FromSchema<typeof spawnRequestSchema>;
