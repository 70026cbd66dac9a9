import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";

const bytesOrUnknown = { type: ["integer", "null"], minimum: 0 } as const;

/** `GET /v1/capabilities`: what this host has. A host without GPUs has the one device `cpu`. */
export const capabilitiesSchema = {
  type: "object",
  properties: {
    hive_id: field.hiveId,
    version: field.version,
    os: { type: "string" },
    arch: { type: "string" },
    cpus: { type: "integer", minimum: 1 },
    memory_total_bytes: { type: "integer", minimum: 0 },
    memory_free_bytes: { type: "integer", minimum: 0 },
    disk_free_bytes: bytesOrUnknown,
    devices: {
      type: "array",
      items: {
        type: "object",
        properties: {
          id: { type: "string" },
          kind: { type: "string" },
          name: { type: "string" },
          memory_total_bytes: bytesOrUnknown,
          memory_free_bytes: bytesOrUnknown,
        },
        required: ["id", "kind", "name", "memory_total_bytes", "memory_free_bytes"],
        additionalProperties: false,
      },
    },
    runtimes: {
      type: "array",
      items: {
        type: "object",
        properties: {
          name: { type: "string" },
          available: { type: "boolean" },
          path: { type: ["string", "null"] },
          version: { type: ["string", "null"] },
          /** Why it is not available and what to do, for people. */
          reason: { type: ["string", "null"] },
        },
        required: ["name", "available", "path", "version", "reason"],
        additionalProperties: false,
      },
    },
  },
  required: [
    "hive_id",
    "version",
    "os",
    "arch",
    "cpus",
    "memory_total_bytes",
    "memory_free_bytes",
    "disk_free_bytes",
    "devices",
    "runtimes",
  ],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type Capabilities = FromSchema<typeof capabilitiesSchema>;

/** `POST /v1/shutdown` of a hive. `deadline_ms` is how long it may take, counted from its arrival. */
export const hiveShutdownSchema = {
  type: "object",
  properties: { workers: { enum: ["stop", "keep"] }, deadline_ms: { type: "integer", minimum: 0 } },
  required: ["workers", "deadline_ms"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveShutdown = FromSchema<typeof hiveShutdownSchema>;

/** The answer of `POST /v1/shutdown`, sent before the daemon ends. */
export const hiveShutdownAnswerSchema = {
  type: "object",
  properties: {
    workers: {
      type: "array",
      items: {
        type: "object",
        properties: {
          worker_id: field.workerId,
          pid: { type: ["integer", "null"] },
          how: { enum: ["ended", "terminated", "killed", "already_gone", "left"] },
        },
        required: ["worker_id", "pid", "how"],
        additionalProperties: false,
      },
    },
    kept: { type: "integer", minimum: 0 },
  },
  required: ["workers", "kept"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveShutdownAnswer = FromSchema<typeof hiveShutdownAnswerSchema>;

/** `DELETE /v1/workers/{id}`: said only after the process is gone, by identity, and its port is free. */
export const workerStopAnswerSchema = {
  type: "object",
  properties: {
    worker_id: field.workerId,
    how: { enum: ["ended", "terminated", "killed", "already_gone"] },
    duration_ms: { type: "number", minimum: 0 },
  },
  required: ["worker_id", "how", "duration_ms"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerStopAnswer = FromSchema<typeof workerStopAnswerSchema>;
