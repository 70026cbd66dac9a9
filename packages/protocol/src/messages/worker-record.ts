import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";

/**
 * The states of a worker's life, in the order in which a healthy one goes through them. A `hung` one was ready, and now
 * neither answers nor makes progress: it gets no requests, and is replaced unless it comes back.
 */
export const WORKER_STATES = [
  "starting",
  "loading",
  "ready",
  "hung",
  "draining",
  "stopping",
  "stopped",
  "crashed",
  "backing_off",
  "failed",
] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/**
 * Why a worker ended or could not start: a closed set, for people and for decisions. Its own faults that the kernel stopped:
 * `illegal_instruction` (SIGILL), `segmentation_fault` (SIGSEGV), `bus_error` (SIGBUS), `aborted` (SIGABRT), `crashed` (any
 * other); `killed` is what a signal from outside did.
 */
export const EXIT_CAUSES = [
  "stopped",
  "finished",
  "killed",
  "oom_killed",
  "illegal_instruction",
  "segmentation_fault",
  "bus_error",
  "aborted",
  "crashed",
  "cuda_oom",
  "port_in_use",
  "bad_flag",
  "model_missing",
  "model_invalid",
  "runtime_missing",
  "driver_not_up",
  "device_missing",
  "insufficient_memory",
  "start_silent",
  "start_too_long",
  "listens_on_loopback_only",
  "hung",
  "host_rebooted",
  "unknown",
] as const;
export type ExitCause = (typeof EXIT_CAUSES)[number];

/** The end of one incarnation. `signal` is a name (`SIGKILL`); with it `exit_code` is null. Both null: not known. */
export const workerExitSchema = {
  type: "object",
  properties: {
    exit_code: { type: ["integer", "null"], minimum: 0, maximum: 255 },
    signal: { type: ["string", "null"], pattern: "^SIG[A-Z0-9+-]+$" },
    cause: { enum: EXIT_CAUSES },
    log_tail: { type: "array", maxItems: 200, items: { type: "string", maxLength: 8192 } },
  },
  required: ["exit_code", "signal", "cause", "log_tail"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerExit = FromSchema<typeof workerExitSchema>;

/**
 * A worker in every list of ours. `pid`, `start_time`, `boot_id`, `port`, `url` are null while there is no process;
 * `in_flight` is null where it is not known (the hive does not see requests); `since` is when `state` began.
 */
export const workerRecordSchema = {
  type: "object",
  properties: {
    worker_id: field.workerId,
    incarnation: field.incarnation,
    hive_id: field.hiveId,
    queen_id: field.queenId,
    model: { type: "string", minLength: 1, maxLength: 256 },
    runtime: { type: "string", minLength: 1, maxLength: 64 },
    state: { enum: WORKER_STATES },
    pid: { type: ["integer", "null"], minimum: 1 },
    start_time: { type: ["integer", "null"], minimum: 0 },
    boot_id: { type: ["string", "null"], maxLength: 64 },
    port: { type: ["integer", "null"], minimum: 1, maximum: 65535 },
    url: { type: ["string", "null"], maxLength: 512 },
    slots: { type: ["integer", "null"], minimum: 1 },
    in_flight: { type: ["integer", "null"], minimum: 0 },
    restarts: { type: "integer", minimum: 0 },
    since: field.time,
    spawned_at: { type: ["string", "null"] },
    ready_at: { type: ["string", "null"] },
    progress: { type: ["string", "null"], maxLength: 512 },
    exit: workerExitSchema,
    /** The devices that it was given. */
    devices: { type: "array", maxItems: 64, items: { type: "string", maxLength: 128 } },
    cpu_ratio: { type: "number", minimum: 0 },
    resident_bytes: { type: "integer", minimum: 0 },
  },
  required: [
    "worker_id",
    "incarnation",
    "hive_id",
    "queen_id",
    "model",
    "runtime",
    "state",
    "pid",
    "start_time",
    "boot_id",
    "port",
    "url",
    "slots",
    "in_flight",
    "restarts",
    "since",
    "spawned_at",
    "ready_at",
    "progress",
  ],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerRecord = FromSchema<typeof workerRecordSchema>;

/** `GET /v1/workers` of a hive and `GET /v2/workers` of the queen. */
export const workerListSchema = {
  type: "object",
  properties: { workers: { type: "array", items: workerRecordSchema } },
  required: ["workers"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type WorkerList = FromSchema<typeof workerListSchema>;
