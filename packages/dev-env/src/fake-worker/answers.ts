import { createHash } from "node:crypto";

const WORDS = "the bees of this hive carry words from flower to flower until the queen has heard enough".split(" ");
const EMBEDDING_SIZE = 8;

/** The tokens of a made-up answer: plain English words, the same ones each time. */
export function answerTokens(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${index === 0 ? "" : " "}${WORDS[index % WORDS.length]}`);
}

/** What the routes need to know about a request's wishes. */
export interface Wishes {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number | null;
  readonly promptTokens: number;
  readonly inputs: readonly string[];
  readonly model: string | null;
  /** Vectors are wanted as base64 of 32-bit floats. */
  readonly base64: boolean;
}

/** Reads a request's body as far as a fake answer depends on it. */
export function wishesOf(body: unknown): Wishes {
  const record = isRecord(body) ? body : {};
  const options = record["stream_options"];
  const limit = record["max_completion_tokens"] ?? record["max_tokens"] ?? record["max_output_tokens"];
  const prompt = record["messages"] ?? record["prompt"] ?? record["input"] ?? "";
  const input = record["input"];
  return {
    stream: record["stream"] === true,
    includeUsage: isRecord(options) && options["include_usage"] === true,
    maxTokens: typeof limit === "number" ? limit : null,
    promptTokens: JSON.stringify(prompt).split(/\s+/).length,
    inputs: (Array.isArray(input) ? input : [input ?? ""]).map(String),
    base64: record["encoding_format"] === "base64",
    model: typeof record["model"] === "string" ? record["model"] : null,
  };
}

/** OpenAI's usage object. */
export function usageOf(promptTokens: number, completionTokens: number): Readonly<Record<string, number>> {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** A vector of length 1 that depends on the text and on nothing else. */
export function embeddingOf(text: string): readonly number[] {
  const bytes = createHash("sha256").update(text).digest();
  const raw = Array.from({ length: EMBEDDING_SIZE }, (_, index) => (bytes[index] ?? 0) / 255 - 0.5);
  const norm = Math.hypot(...raw) || 1;
  return raw.map((value) => value / norm);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
