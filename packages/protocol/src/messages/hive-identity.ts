import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field, processIdentityProperties } from "./common.ts";

const identityProperties = {
  hive_id: field.hiveId,
  hive_epoch: field.epoch,
  ...processIdentityProperties,
  version: field.version,
  protocol: field.protocol,
} as const;

/** `GET /health` of a hive: open and cheap. */
export const hiveHealthSchema = {
  type: "object",
  properties: { status: { enum: ["ok", "stopping"] }, ...identityProperties },
  required: ["status", "hive_id", "hive_epoch", "pid", "start_time", "boot_id", "version", "protocol"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveHealth = FromSchema<typeof hiveHealthSchema>;

/**
 * The answer of `PUT /v1/queen`: who runs there, and the SHA-256 of what `hive start` keeps (`hive.json`, then the token) as it
 * lies on the hive's disk, so that its queen knows without a command whether a start would bring anything new. Null or absent:
 * the hive cannot say.
 */
export const queenClaimAnswerSchema = {
  ...hiveHealthSchema,
  properties: { ...hiveHealthSchema.properties, kept_sha256: { type: ["string", "null"] } },
} as const satisfies JsonSchema;
export type QueenClaimAnswer = FromSchema<typeof queenClaimAnswerSchema>;

/** `state_dir/identity.json`: who runs there, written before the hand-shake. */
export const hiveIdentitySchema = {
  type: "object",
  properties: { ...identityProperties, url: field.url },
  required: ["hive_id", "hive_epoch", "pid", "start_time", "boot_id", "url", "version", "protocol"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveIdentity = FromSchema<typeof hiveIdentitySchema>;

/** What `hive start --json` prints, and `hive status --json` of a running hive. */
export const hiveStartAnswerSchema = {
  type: "object",
  properties: { ...hiveIdentitySchema.properties, already_running: { type: "boolean" }, owner: { type: ["string", "null"] } },
  required: [...hiveIdentitySchema.required, "already_running"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveStartAnswer = FromSchema<typeof hiveStartAnswerSchema>;

/** What `hive status --json` prints. `state` is decided by process identity, never by a pid alone. */
export const hiveStatusAnswerSchema = {
  type: "object",
  properties: {
    state: { enum: ["running", "stopped", "mute"] },
    identity: { anyOf: [hiveIdentitySchema, { type: "null" }] },
    owner: { type: ["string", "null"] },
    workers: { type: "integer", minimum: 0 },
  },
  required: ["state", "identity", "owner", "workers"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveStatusAnswer = FromSchema<typeof hiveStatusAnswerSchema>;

/** What `hive stop --json` prints: each process that was ours, and how it went. */
export const hiveStopAnswerSchema = {
  type: "object",
  properties: {
    hive_id: { type: ["string", "null"] },
    was_running: { type: "boolean" },
    workers_kept: { type: "integer", minimum: 0 },
    stopped: {
      type: "array",
      items: {
        type: "object",
        properties: {
          what: { enum: ["hive", "worker", "leftover"] },
          worker_id: { type: ["string", "null"] },
          pid: field.pid,
          how: { enum: ["ended", "terminated", "killed", "already_gone"] },
        },
        required: ["what", "worker_id", "pid", "how"],
        additionalProperties: false,
      },
    },
    left: { type: "array", items: { type: "string" } },
  },
  required: ["hive_id", "was_running", "workers_kept", "stopped", "left"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveStopAnswer = FromSchema<typeof hiveStopAnswerSchema>;

/** Hive -> queen, after each start of the daemon, through the outbox. */
export const hiveReadySchema = {
  type: "object",
  properties: { queen_id: field.queenId, sequence: field.sequence, ...identityProperties, url: field.url },
  required: ["queen_id", "hive_id", "hive_epoch", "sequence", "pid", "start_time", "boot_id", "url", "version", "protocol"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveReady = FromSchema<typeof hiveReadySchema>;

/** `PUT /v1/queen`: who owns this hive from now on, and where her callbacks go. */
export const queenAddressSchema = {
  type: "object",
  properties: {
    queen_id: field.queenId,
    queen_epoch: field.epoch,
    queen_url: field.url,
    take_over: { type: "boolean" },
  },
  required: ["queen_id", "queen_epoch", "queen_url"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type QueenAddress = FromSchema<typeof queenAddressSchema>;
