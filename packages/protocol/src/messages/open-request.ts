import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { field } from "./common.ts";

/** What an open request waits for or does. */
const REQUEST_STATES = ["receiving", "queued", "waiting_for_worker", "placed", "streaming"] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/**
 * A request that has arrived and not ended. `model` is null until its body was read; the worker is the one of its present or
 * last try, `upstream:<id>` for an upstream; `client` says whose key it came with.
 */
export const openRequestSchema = {
  type: "object",
  properties: {
    request_id: { type: "string" },
    state: { enum: REQUEST_STATES },
    route: { type: "string" },
    model: { type: ["string", "null"] },
    client: { type: "string" },
    worker_id: { type: ["string", "null"] },
    hive_id: { type: ["string", "null"] },
    attempts: { type: "integer", minimum: 0 },
    since: field.time,
  },
  required: ["request_id", "state", "route", "model", "client", "worker_id", "hive_id", "attempts", "since"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type OpenRequest = FromSchema<typeof openRequestSchema>;

/** `GET /v2/requests`, oldest first. */
export const openRequestListSchema = {
  type: "object",
  properties: { requests: { type: "array", items: openRequestSchema } },
  required: ["requests"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type OpenRequestList = FromSchema<typeof openRequestListSchema>;

/** `DELETE /v2/requests/{id}`: how many requests of this id were ended; a client may have given two the same one. */
export const cancelAnswerSchema = {
  type: "object",
  properties: { request_id: { type: "string" }, cancelled: { type: "integer", minimum: 1 } },
  required: ["request_id", "cancelled"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type CancelAnswer = FromSchema<typeof cancelAnswerSchema>;
