import type { RuntimeRecipe } from "@queen-and-hive/protocol";
import { flagValue } from "./command-line.ts";

/** What is known of a model file that its memory depends on. Null: the file does not say. */
export interface ModelFacts {
  /** Of all parts of the file together, the weights being nearly all of it. */
  readonly fileBytes: number;
  readonly layers: number | null;
  readonly contextTokensMax: number | null;
  readonly embeddingLength: number | null;
  readonly heads: number | null;
  /** Key and value heads, per layer. */
  readonly kvHeads: number | null;
  readonly keyLength: number | null;
  readonly valueLength: number | null;
}

/** What a worker's memory is estimated from. */
export interface NeedQuestion {
  readonly recipe: Pick<RuntimeRecipe, "memory" | "slots">;
  /** The command line, in which flags of the recipe are looked up. */
  readonly words: readonly string[];
  /** Null for a model that is no GGUF file. */
  readonly model: ModelFacts | null;
  readonly slots: number | "auto";
  /** Whether its devices are GPUs, on which a part of the layers may lie. */
  readonly onGpu: boolean;
}

/** One term of an estimate, for people and sums. */
export interface NeedPart {
  readonly what: string;
  readonly bytes: number;
}

/** Memory on all of its devices together, as terms; or a share of each whole device; or nothing that can be said. */
export type MemoryNeed =
  | { readonly kind: "bytes"; readonly parts: readonly NeedPart[] }
  | { readonly kind: "share"; readonly ratio: number }
  | { readonly kind: "unknown" };

/** Estimates what a worker needs from its model file and its flags. */
export function estimateNeed({ recipe, words, model, slots, onGpu }: NeedQuestion): MemoryNeed {
  const { gguf, share } = recipe.memory ?? {};
  if (share !== undefined) {
    const said = Number(flagValue(words, share.flags ?? []) ?? Number.NaN);
    return onGpu ? { kind: "share", ratio: said > 0 && said <= 1 ? said : share.assumed } : { kind: "unknown" };
  }
  if (gguf === undefined || model === null) return { kind: "unknown" };
  const layersRatio = onGpu ? layersOnGpu(model, flagValue(words, gguf.gpu_layers_flags ?? [])) : 1;
  const said = wholeNumber(flagValue(words, gguf.context_flags ?? []));
  // A context that nobody asked for is fitted by the engine into what there is: the usual one is counted.
  const contextMax = model.contextTokensMax ?? Number.POSITIVE_INFINITY;
  const context = said ?? Math.min(gguf.context ?? CONTEXT_DEFAULT, contextMax);
  const count = gguf.per_slot === true ? (slots === "auto" ? (gguf.slots ?? 1) : slots) : 1;
  const key = elementBytes(flagValue(words, gguf.key_type_flags ?? []));
  const value = elementBytes(flagValue(words, gguf.value_type_flags ?? []));
  const cache = cacheBytesPerToken(model, key, value);
  return {
    kind: "bytes",
    parts: [
      { what: "weights", bytes: Math.ceil(model.fileBytes * layersRatio) },
      { what: `context of ${context * count} tokens`, bytes: Math.ceil(context * count * cache * layersRatio) },
      { what: "overhead", bytes: OVERHEAD_BYTES + Math.ceil(model.fileBytes * OVERHEAD_RATIO * layersRatio) },
    ],
  };
}

const CONTEXT_DEFAULT = 4096;
/** Compute buffers, the driver's context, the server itself. */
const OVERHEAD_BYTES = 256 * 1024 * 1024;
const OVERHEAD_RATIO = 0.03;

/** Key and value of one token in all layers. */
function cacheBytesPerToken(model: ModelFacts, key: number, value: number): number {
  const { layers, heads, embeddingLength } = model;
  if (layers === null || heads === null || embeddingLength === null || heads === 0) return 0;
  const headLength = embeddingLength / heads;
  const kvHeads = model.kvHeads ?? heads;
  return layers * kvHeads * ((model.keyLength ?? headLength) * key + (model.valueLength ?? headLength) * value);
}

/** The part of the layers that lies on the GPU; the output layer counts as one. */
function layersOnGpu({ layers }: ModelFacts, said: string | null): number {
  const count = wholeNumber(said, 0);
  return count === null || layers === null ? 1 : Math.min(1, count / (layers + 1));
}

/** Bytes of an element of the cache, by llama.cpp's name of its type (ggml's `type_traits`); f16 is the default. */
function elementBytes(type: string | null): number {
  return ELEMENT_BYTES[type ?? "f16"] ?? 2;
}

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  q8_0: 34 / 32,
  q5_1: 24 / 32,
  q5_0: 22 / 32,
  q4_1: 20 / 32,
  q4_0: 18 / 32,
  iq4_nl: 18 / 32,
};

/** Numbers below `least` mean that the engine decides. */
function wholeNumber(text: string | null, least = 1): number | null {
  const value = text === null || !/^[0-9]{1,9}$/.test(text) ? Number.NaN : Number(text);
  return value >= least ? value : null;
}
