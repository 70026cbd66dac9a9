import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";
import { workerExitSchema } from "./worker-record.ts";

const saidByWorker = {
  worker_id: field.workerId,
  url: field.url,
  model_ref: { type: "string", minLength: 1, maxLength: 4096 },
  backend: { type: "string", minLength: 1, maxLength: 128 },
  device: { type: "string", minLength: 1, maxLength: 256 },
  slots: { type: "integer", minimum: 1 },
  memory_bytes: { type: "integer", minimum: 0 },
} as const;

/** Worker -> hive `POST /v1/workers/ready`, with the token of this (worker, incarnation). */
export const workerReadyCallbackSchema = {
  type: "object",
  properties: { ...saidByWorker, pid: field.pid },
  required: ["worker_id", "url", "model_ref", "backend", "device"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerReadyCallback = FromSchema<typeof workerReadyCallbackSchema>;

/** Hive -> queen `POST {queen_url}/v2/workers/ready`. */
export const workerReadySchema = {
  type: "object",
  properties: {
    ...saidByWorker,
    hive_id: field.hiveId,
    hive_epoch: field.epoch,
    sequence: field.sequence,
    incarnation: field.incarnation,
    pid: field.pid,
    start_time: field.startTime,
    spawned_at: field.time,
    ready_at: field.time,
    delivery_attempt: { type: "integer", minimum: 1 },
  },
  required: [
    "worker_id",
    "url",
    "model_ref",
    "backend",
    "device",
    "hive_id",
    "hive_epoch",
    "sequence",
    "incarnation",
    "pid",
    "start_time",
    "spawned_at",
    "ready_at",
    "delivery_attempt",
  ],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerReady = FromSchema<typeof workerReadySchema>;

/** Hive -> queen `POST {queen_url}/v2/workers/exited`. */
export const workerExitedSchema = {
  type: "object",
  properties: {
    worker_id: field.workerId,
    incarnation: field.incarnation,
    hive_id: field.hiveId,
    hive_epoch: field.epoch,
    sequence: field.sequence,
    ...workerExitSchema.properties,
    will_restart: { type: "boolean" },
  },
  required: [
    "worker_id",
    "incarnation",
    "hive_id",
    "hive_epoch",
    "sequence",
    "exit_code",
    "signal",
    "cause",
    "log_tail",
    "will_restart",
  ],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerExited = FromSchema<typeof workerExitedSchema>;

/** The answer to every callback: `applied` is false for a repetition without effect. */
export const callbackAnswerSchema = {
  type: "object",
  properties: { applied: { type: "boolean" } },
  required: ["applied"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type CallbackAnswer = FromSchema<typeof callbackAnswerSchema>;
