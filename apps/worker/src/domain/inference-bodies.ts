import type { JsonSchema, RequestOf } from "@queen-and-hive/protocol";

/** The most inputs of one embeddings request (OpenAI's API reference). */
const EMBEDDING_INPUTS_MAX = 2048;
/** The most stop sequences of one request; OpenAI allows 4, llama.cpp has no limit. */
const STOPS_MAX = 16;

const optionalNumber = (minimum: number, maximum: number) => ({ type: ["number", "null"], minimum, maximum }) as const;
const optionalBoolean = { type: ["boolean", "null"] } as const;
const optionalCount = { type: ["integer", "null"], minimum: 1 } as const;
const text = { type: "string" } as const;
const tokens = { type: "array", items: { type: "integer", minimum: 0 } } as const;

/** What both generation routes read; SDKs send null for what is not set. Ranges: OpenAI's API reference. */
const generation = {
  model: { type: ["string", "null"] },
  stream: optionalBoolean,
  stream_options: {
    type: ["object", "null"],
    properties: { include_usage: optionalBoolean },
    additionalProperties: true,
  },
  max_tokens: optionalCount,
  temperature: optionalNumber(0, 2),
  top_p: optionalNumber(0, 1),
  top_k: { type: ["integer", "null"], minimum: 0 },
  min_p: optionalNumber(0, 1),
  seed: { type: ["integer", "null"] },
  presence_penalty: optionalNumber(-2, 2),
  frequency_penalty: optionalNumber(-2, 2),
  stop: { anyOf: [text, { type: "array", items: text, maxItems: STOPS_MAX }, { type: "null" }] },
  n: { type: ["integer", "null"], minimum: 1 },
  /** An addition that llama-server and vLLM have too. */
  ignore_eos: optionalBoolean,
} as const;

const messageContent = {
  anyOf: [
    text,
    { type: "null" },
    {
      type: "array",
      items: {
        type: "object",
        properties: { type: text, text },
        required: ["type"],
        additionalProperties: true,
      },
    },
  ],
} as const;

/** `POST /v1/chat/completions`. */
export const chatCompletionSchema = {
  type: "object",
  properties: {
    ...generation,
    max_completion_tokens: optionalCount,
    messages: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        properties: { role: text, content: messageContent },
        required: ["role"],
        additionalProperties: true,
      },
    },
  },
  required: ["messages"],
  additionalProperties: true,
} as const satisfies JsonSchema;
export type ChatCompletionBody = RequestOf<{ readonly request: typeof chatCompletionSchema }>;

/** `POST /v1/completions`. */
export const completionSchema = {
  type: "object",
  properties: {
    ...generation,
    prompt: { anyOf: [text, tokens, { type: "array", items: text }] },
    echo: optionalBoolean,
    best_of: { type: ["integer", "null"], minimum: 1 },
  },
  required: ["prompt"],
  additionalProperties: true,
} as const satisfies JsonSchema;
export type CompletionBody = RequestOf<{ readonly request: typeof completionSchema }>;

/** `POST /v1/embeddings`. */
export const embeddingsSchema = {
  type: "object",
  properties: {
    model: { type: ["string", "null"] },
    input: {
      anyOf: [
        { type: "string", minLength: 1 },
        { type: "array", items: { type: "string", minLength: 1 }, minItems: 1, maxItems: EMBEDDING_INPUTS_MAX },
        { ...tokens, minItems: 1 },
        { type: "array", items: { ...tokens, minItems: 1 }, minItems: 1, maxItems: EMBEDDING_INPUTS_MAX },
      ],
    },
    encoding_format: { enum: ["float", "base64", null] },
    dimensions: { type: ["integer", "null"], minimum: 1 },
  },
  required: ["input"],
  additionalProperties: true,
} as const satisfies JsonSchema;
export type EmbeddingsBody = RequestOf<{ readonly request: typeof embeddingsSchema }>;
