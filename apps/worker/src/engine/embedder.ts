import type { Clock } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { EmbeddingOutcome } from "../domain/generation.ts";
import type { LlamaEmbeddingContext, LlamaModel, Token } from "./llama-library.ts";
import type { PromptReader } from "./prompt-reader.ts";
import { type SlotLimits, SlotPool } from "./slot-pool.ts";

/** How much an Embedder may take. */
export interface EmbedderOptions {
  readonly contextTokens: number;
  readonly threads: number;
  readonly limits: SlotLimits;
  readonly clock: Clock;
}

/** Makes embeddings, one input after the other, in a context of its own that the first request creates. */
export class Embedder {
  readonly #model: LlamaModel;
  readonly #prompts: PromptReader;
  readonly #options: EmbedderOptions;
  readonly #pool: SlotPool<"embedding">;
  #context: Promise<LlamaEmbeddingContext> | null = null;

  constructor(model: LlamaModel, prompts: PromptReader, options: EmbedderOptions) {
    this.#model = model;
    this.#prompts = prompts;
    this.#options = options;
    this.#pool = new SlotPool(["embedding"], options.limits, options.clock);
  }

  get busy(): number {
    return this.#pool.busy;
  }

  get waiting(): number {
    return this.#pool.waiting;
  }

  /** Vectors of length 1. Throws `invalid_body` for an input that does not fit, and the signal's reason. */
  async embed(inputs: readonly (string | readonly number[])[], signal: AbortSignal): Promise<EmbeddingOutcome> {
    const tokens = inputs.map((input) => this.#tokensOf(input));
    using _lease = await this.#pool.acquire(() => "embedding", signal);
    const context = await this.#open();
    const promptTokens = tokens.map((input, index) => this.#requireRoom(context.calculateInputLength([...input]), index));
    const vectors: (readonly number[])[] = [];
    for (const input of tokens) {
      signal.throwIfAborted();
      const embedding = await context.getEmbeddingFor([...input]);
      vectors.push(normalise(embedding.vector));
    }
    signal.throwIfAborted();
    return { vectors, promptTokens: promptTokens.reduce((sum, count) => sum + count, 0) };
  }

  #tokensOf(input: string | readonly number[]): readonly Token[] {
    return typeof input === "string" ? this.#model.tokenize(input) : this.#prompts.parseTokens(input, "/input");
  }

  #requireRoom(length: number, index: number): number {
    const most = this.#options.contextTokens - 1;
    if (length <= most) return length;
    throw new QhError(
      "context_length_exceeded",
      `cannot embed input ${index}: it has ${length} tokens of at most ${most}: send it in parts`,
      {
        param: `/input/${index}`,
        details: { prompt_tokens: length, context_tokens: this.#options.contextTokens },
      },
    );
  }

  async #open(): Promise<LlamaEmbeddingContext> {
    this.#context ??= this.#model.createEmbeddingContext({
      contextSize: this.#options.contextTokens,
      threads: this.#options.threads,
    });
    try {
      return await this.#context;
    } catch (error) {
      this.#context = null;
      const why = error instanceof Error ? error.message : String(error);
      throw new QhError("engine_failed", `cannot make embeddings with this model: ${why}`, { cause: error });
    }
  }
}

/** OpenAI's embeddings, and llama.cpp's, have the Euclidean length 1. */
function normalise(vector: readonly number[]): readonly number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}
