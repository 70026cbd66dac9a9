/** One message of a chat, reduced to what the engine reads: who said it and the text. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly text: string;
}

/** What is to be continued: a chat through the model's own template, plain text, or tokens as they are. */
export type Prompt =
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] };

/** How the next token is chosen. `temperature` 0 always takes the likeliest one. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  /** 0 means no limit. */
  readonly topK: number;
  readonly minP: number;
  /** Null takes a random one. */
  readonly seed: number | null;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
}

/** One request for text. */
export interface GenerationRequest {
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  /** Tokens; null means until the context is full. */
  readonly maxTokens: number | null;
  readonly stop: readonly string[];
  /** Goes on when the model would end its text, as load tests want it. */
  readonly ignoreEnd: boolean;
}

/** Why a text ended: the model or a stop sequence ended it, or a limit of tokens was met. */
export type FinishReason = "stop" | "length";

/** What is known once a text has ended. */
export interface GenerationOutcome {
  readonly finishReason: FinishReason;
  readonly promptTokens: number;
  /** Tokens of the prompt that were still in the slot's memory. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** Embeddings of several inputs, each of length 1, in their order. */
export interface EmbeddingOutcome {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
}

/** A loaded model. Failures are QhErrors: `context_exceeded` details are in the message, `queue_full`, `queue_timeout`. */
export interface Engine {
  readonly contextTokens: number;
  readonly slots: number;
  /** Such as `llama.cpp-cpu`. */
  readonly backend: string;
  /** Such as `cpu`. */
  readonly device: string;
  /** Yields pieces of text; returns how it ended. Throws `invalid_body` for a prompt that does not fit. */
  generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<string, GenerationOutcome, void>;
  /** Inputs are texts or tokens. Throws `invalid_body` for one that does not fit. */
  embed(inputs: readonly (string | readonly number[])[], signal: AbortSignal): Promise<EmbeddingOutcome>;
  /** Slots in use and requests that wait for one. */
  load(): { readonly busy: number; readonly waiting: number };
}
