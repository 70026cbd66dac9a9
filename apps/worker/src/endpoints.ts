import { defineEndpoints } from "@queen-and-hive/protocol";
import { chatCompletionSchema, completionSchema, embeddingsSchema } from "./domain/inference-bodies.ts";

const inference = {
  method: "POST",
  caller: "client",
  form: "passthrough",
  status: 200,
  unknownFields: "openai",
  errors: [
    "unauthenticated",
    "malformed_json",
    "invalid_body",
    "body_too_large",
    "context_length_exceeded",
    "queue_full",
    "queue_timeout",
    "model_unavailable",
    "engine_failed",
    "shutting_down",
  ],
} as const;

/** Everything that the embedded worker answers. */
export const WORKER_ENDPOINTS = defineEndpoints({
  getHealth: {
    method: "GET",
    path: "/health",
    caller: "anyone",
    summary: "200 once requests can be served; before that 503 with the progress of loading, 0 to 1.",
    form: "json",
    status: 200,
    unknownFields: "peer",
    errors: [],
  },
  getMetrics: {
    method: "GET",
    path: "/metrics",
    caller: "anyone",
    summary: "Prometheus metrics of this worker.",
    form: "text",
    status: 200,
    unknownFields: "peer",
    errors: [],
  },
  getModels: {
    method: "GET",
    path: "/v1/models",
    caller: "client",
    summary: "The one model of this worker.",
    form: "json",
    status: 200,
    unknownFields: "openai",
    errors: ["unauthenticated"],
  },
  postChatCompletions: {
    ...inference,
    path: "/v1/chat/completions",
    summary: "Continues a chat, whole or as a stream.",
    request: chatCompletionSchema,
  },
  postCompletions: {
    ...inference,
    path: "/v1/completions",
    summary: "Continues a text, whole or as a stream.",
    request: completionSchema,
  },
  postEmbeddings: {
    ...inference,
    path: "/v1/embeddings",
    summary: "Embeddings of one or several texts.",
    form: "json",
    request: embeddingsSchema,
  },
});
