import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";
import { hiveIdentitySchema } from "./hive-identity.ts";
import { workerRecordSchema } from "./worker-record.ts";

/**
 * The steps of a proven stop: what it had to finish, its callers gone, TERM, KILL of the rest of its cgroup as a whole where
 * one by one was not enough, KILL of its group, KILL of what had left the group, its ports free, its devices' memory back, all
 * of it gone (with the time of the whole stop). Each is told when it is over.
 */
export type StopStep = "drain" | "idle" | "term" | "cgroup" | "kill" | "sweep" | "port" | "device_memory" | "gone";

/**
 * One message of a hive's event stream (`GET /v1/events`): a snapshot first, then numbered deltas, telemetry and beats.
 * `sequence` counts the deltas of this daemon's life; the snapshot says after which delta it was taken.
 */
export const hiveEventSchema = {
  type: "object",
  required: ["type"],
  discriminator: { propertyName: "type" },
  oneOf: [
    {
      type: "object",
      properties: {
        type: { const: "snapshot" },
        sequence: field.sequence,
        hive: hiveIdentitySchema,
        workers: { type: "array", items: workerRecordSchema },
        /** How often beats come, whatever their reader is set to; null: never. Absent: the reader's own setting. */
        beat_ms: { type: ["integer", "null"], minimum: 1 },
      },
      required: ["type", "sequence", "hive", "workers"],
      additionalProperties: false,
    },
    {
      type: "object",
      properties: { type: { const: "worker" }, sequence: field.sequence, worker: workerRecordSchema },
      required: ["type", "sequence", "worker"],
      additionalProperties: false,
    },
    {
      type: "object",
      properties: { type: { const: "beat" }, sequence: field.sequence, time: field.time },
      required: ["type", "sequence", "time"],
      additionalProperties: false,
    },
    {
      type: "object",
      properties: {
        type: { const: "step" },
        time: field.time,
        worker_id: field.workerId,
        incarnation: field.incarnation,
        /** A `StopStep`. Readers take any: a hive of a later release may have more of them. */
        step: { type: "string", minLength: 1, maxLength: 64 },
        /** `ok`: it came to its end. `over`: not (or not proven) in its time. `left`: something is still there. */
        outcome: { enum: ["ok", "over", "left"] },
        duration_ms: { type: "number", minimum: 0 },
        /** The processes that it concerned. */
        pids: { type: "array", items: field.pid },
        /** Why it is as it is, where that is not plain: a tool that hangs or is gone proves no memory. */
        reason: { type: "string" },
      },
      required: ["type", "time", "worker_id", "incarnation", "step", "outcome", "duration_ms", "pids"],
      additionalProperties: false,
    },
    {
      type: "object",
      properties: {
        type: { const: "telemetry" },
        time: field.time,
        workers: {
          type: "array",
          items: {
            type: "object",
            properties: {
              worker_id: field.workerId,
              cpu_ratio: { type: "number", minimum: 0 },
              resident_bytes: { type: "integer", minimum: 0 },
            },
            required: ["worker_id", "cpu_ratio", "resident_bytes"],
            additionalProperties: false,
          },
        },
      },
      required: ["type", "time", "workers"],
      additionalProperties: false,
    },
  ],
} as const satisfies JsonSchema;
export type HiveEvent = FromSchema<typeof hiveEventSchema>;
