import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";

/** The states of a hive's life, as the queen sees it. */
export const HIVE_STATES = [
  "stopped",
  "starting",
  "running",
  "suspect",
  "crashed",
  "hung",
  "unreachable",
  "draining",
  "stopping",
  "failed",
] as const;
export type HiveState = (typeof HIVE_STATES)[number];

/** A hive in `GET /v2/hives`. The process fields are null while none is known; `since` is when `state` began. */
export const hiveRecordSchema = {
  type: "object",
  properties: {
    hive_id: field.hiveId,
    hive_epoch: { type: ["integer", "null"], minimum: 0 },
    state: { enum: HIVE_STATES },
    pid: { type: ["integer", "null"] },
    start_time: { type: ["integer", "null"] },
    boot_id: { type: ["string", "null"] },
    url: { type: ["string", "null"] },
    version: { type: ["string", "null"] },
    host: { type: "string" },
    workers: { type: "integer", minimum: 0 },
    restarts: { type: "integer", minimum: 0 },
    since: field.time,
    /** What is being done to it now: a check of its host, an upload with how far it is. */
    progress: { type: "string" },
    /** Set while an operator's word keeps it stopped, over restarts of the queen too. */
    stopped_by: { const: "operator" },
    /** Set where its host may be off without an alarm. */
    presence: { const: "best_effort" },
    /** What its host computes on, as the daemon said when it was last reached. */
    devices: {
      type: "array",
      items: {
        type: "object",
        properties: { id: { type: "string" }, kind: { type: "string" }, name: { type: "string" } },
        required: ["id", "kind", "name"],
        additionalProperties: false,
      },
    },
    last_error: { type: "string" },
  },
  required: [
    "hive_id",
    "hive_epoch",
    "state",
    "pid",
    "start_time",
    "boot_id",
    "url",
    "version",
    "host",
    "workers",
    "restarts",
    "since",
  ],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveRecord = FromSchema<typeof hiveRecordSchema>;

/** `GET /v2/hives`. */
export const hiveListSchema = {
  type: "object",
  properties: { hives: { type: "array", items: hiveRecordSchema } },
  required: ["hives"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveList = FromSchema<typeof hiveListSchema>;

/** One entry of the queen's journal, and one message of `GET /v2/events`. */
export const journalEventSchema = {
  type: "object",
  properties: {
    sequence: field.sequence,
    time: field.time,
    kind: { type: "string", pattern: "^[a-z_]+\\.[a-z_]+$" },
    actor: { type: "string" },
    hive_id: { type: "string" },
    worker_id: { type: "string" },
    request_id: { type: "string" },
    from: { type: "string" },
    to: { type: "string" },
    cause: { type: "string" },
    details: { type: "object" },
  },
  required: ["sequence", "time", "kind", "actor"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type JournalEvent = FromSchema<typeof journalEventSchema>;

/** `POST /v2/shutdown` of the queen. */
export const queenShutdownSchema = {
  type: "object",
  properties: { hives: { enum: ["stop", "keep", "by_config"] } },
  required: ["hives"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type QueenShutdown = FromSchema<typeof queenShutdownSchema>;

/** `POST /v2/hives/{id}/stop`: whether its workers end with it; without the field they do. */
export const hiveStopRequestSchema = {
  type: "object",
  properties: { workers: { enum: ["stop", "keep"] } },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveStopRequest = FromSchema<typeof hiveStopRequestSchema>;

/** What became of a hive that was to be stopped; only what is proven by process identity is called stopped. */
export const hiveFateSchema = {
  type: "object",
  properties: {
    hive_id: field.hiveId,
    fate: { enum: ["stopped", "killed", "kept", "already_stopped", "not_ours", "unreachable", "left"] },
    workers_stopped: { type: "integer", minimum: 0 },
    workers_killed: { type: "integer", minimum: 0 },
    workers_kept: { type: "integer", minimum: 0 },
    message: { type: "string" },
  },
  required: ["hive_id", "fate", "workers_stopped", "workers_killed", "workers_kept"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveFate = FromSchema<typeof hiveFateSchema>;

/** The answer of `POST /v2/shutdown`: one line of fate per hive, sent when the cascade is over. */
export const queenShutdownAnswerSchema = {
  type: "object",
  properties: { hives: { type: "array", items: hiveFateSchema }, clean: { type: "boolean" } },
  required: ["hives", "clean"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type QueenShutdownAnswer = FromSchema<typeof queenShutdownAnswerSchema>;

/** `GET /livez`, `/readyz`, `/health` of the queen. */
export const queenHealthSchema = {
  type: "object",
  properties: {
    status: { enum: ["ok", "starting", "stopping", "degraded"] },
    queen_id: field.queenId,
    queen_epoch: field.epoch,
    version: field.version,
    hives: { type: "object", additionalProperties: { type: "integer", minimum: 0 } },
    workers: { type: "object", additionalProperties: { type: "integer", minimum: 0 } },
    upstreams: { type: "object", additionalProperties: { type: "integer", minimum: 0 } },
  },
  required: ["status"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type QueenHealth = FromSchema<typeof queenHealthSchema>;

/** `GET /version` of the queen. */
export const versionSchema = {
  type: "object",
  properties: { name: { type: "string" }, version: field.version, protocol: field.protocol },
  required: ["name", "version", "protocol"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type VersionAnswer = FromSchema<typeof versionSchema>;

/**
 * One model of `GET /v1/models`: OpenAI's object plus our `status`, the tokens that fit into a request (where a loaded engine
 * has said so), and the hives and `upstream:<id>`s that can serve it now.
 */
export const modelSchema = {
  type: "object",
  properties: {
    id: { type: "string" },
    object: { const: "model" },
    created: { type: "integer", minimum: 0 },
    owned_by: { type: "string" },
    status: { enum: ["loaded", "loading", "unloaded", "failed"] },
    aliases: { type: "array", items: { type: "string" } },
    context_length: { type: "integer", minimum: 1 },
    where: { type: "array", items: { type: "string" } },
  },
  required: ["id", "object", "created", "owned_by"],
  additionalProperties: true,
} as const satisfies JsonSchema;
export type ModelRecord = FromSchema<typeof modelSchema>;

/** `GET /v1/models`. */
export const modelListSchema = {
  type: "object",
  properties: { object: { const: "list" }, data: { type: "array", items: modelSchema } },
  required: ["object", "data"],
  additionalProperties: true,
} as const satisfies JsonSchema;
export type ModelList = FromSchema<typeof modelListSchema>;
