import type { Clock } from "@queen-and-hive/daemon";
import type { EmbeddingOutcome, Engine, GenerationOutcome, GenerationRequest } from "../domain/generation.ts";
import { chooseSlot } from "../domain/slot-choice.ts";
import { Embedder } from "./embedder.ts";
import { generateText, requireRoom } from "./generate.ts";
import type { LlamaContext, LlamaContextSequence, LlamaLibrary, LlamaModel, Token } from "./llama-library.ts";
import { PromptReader } from "./prompt-reader.ts";
import { type SlotLimits, SlotPool } from "./slot-pool.ts";

/** What a LlamaEngine is made of; `threads` is what evaluations may use together. */
export interface LlamaEngineParts {
  readonly library: LlamaLibrary;
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  readonly threads: number;
  readonly limits: SlotLimits;
  readonly clock: Clock;
  /** Hears every token that is generated, also those of requests that are cancelled later. */
  readonly onToken: () => void;
}

/** A model in this process: one context with a sequence for each slot, evaluated together in batches. */
export class LlamaEngine implements Engine {
  readonly contextTokens: number;
  readonly slots: number;
  readonly backend: string;
  readonly device: string;
  readonly #pool: SlotPool<LlamaContextSequence>;
  readonly #prompts: PromptReader;
  readonly #embedder: Embedder;
  readonly #onToken: () => void;

  constructor({ library, model, context, threads, limits, clock, onToken }: LlamaEngineParts) {
    const gpu = model.llama.gpu;
    const onGpu = gpu !== false && model.gpuLayers > 0;
    this.contextTokens = context.contextSize;
    this.slots = context.totalSequences;
    this.device = onGpu ? gpu : "cpu";
    this.backend = `llama.cpp-${this.device}`;
    this.#pool = new SlotPool(takeSequences(context), limits, clock);
    this.#onToken = onToken;
    this.#prompts = new PromptReader(library, model);
    this.#embedder = new Embedder(model, this.#prompts, { contextTokens: context.contextSize, threads, limits, clock });
  }

  load(): { readonly busy: number; readonly waiting: number } {
    return { busy: this.#pool.busy + this.#embedder.busy, waiting: this.#pool.waiting + this.#embedder.waiting };
  }

  async *generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<string, GenerationOutcome, void> {
    const prompt = this.#prompts.read(request.prompt);
    requireRoom(prompt, this.contextTokens);
    using lease = await this.#pool.acquire((free) => closest(free, prompt.tokens), signal);
    try {
      return yield* generateText(lease.slot, prompt, request, this.#onToken, signal);
    } catch (error) {
      // After a failed evaluation the memory may not be what its tokens say.
      if (!signal.aborted) await lease.slot.clearHistory();
      throw error;
    }
  }

  embed(inputs: readonly (string | readonly number[])[], signal: AbortSignal): Promise<EmbeddingOutcome> {
    return this.#embedder.embed(inputs, signal);
  }
}

function takeSequences(context: LlamaContext): LlamaContextSequence[] {
  return Array.from({ length: context.totalSequences }, () => context.getSequence());
}

/** The slot that a chat comes back to, or one for a new chat; free ones come the longest unused first. */
function closest(free: readonly LlamaContextSequence[], tokens: readonly Token[]): LlamaContextSequence {
  const prompt = [...tokens];
  const chosen = chooseSlot(
    free.map((sequence) => ({
      sequence,
      shared: sequence.compareContextTokens(prompt).firstDifferentIndex,
      held: sequence.nextTokenIndex,
    })),
  );
  if (chosen === null) throw new Error("a slot was asked for while none is free");
  return chosen.sequence;
}
