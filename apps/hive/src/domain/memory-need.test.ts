import { describe, expect, it } from "vitest";
import { estimateNeed, type MemoryNeed, type ModelFacts } from "./memory-need.ts";

/** Llama 3.1 8B in Q4_K_M: 32 layers, 8 of 32 heads for keys and values, 4096 wide. */
const LLAMA_8B: ModelFacts = {
  fileBytes: 4_920_734_720,
  layers: 32,
  contextTokensMax: 131_072,
  embeddingLength: 4096,
  heads: 32,
  kvHeads: 8,
  keyLength: null,
  valueLength: null,
};
/** A token's key and value: 32 layers x 8 heads x 128 x 2 x 2 bytes. */
const TOKEN = 131_072;

const LLAMA_SERVER = {
  memory: {
    gguf: {
      context_flags: ["-c", "--ctx-size"],
      context: 4096,
      gpu_layers_flags: ["-ngl"],
      key_type_flags: ["-ctk"],
      value_type_flags: ["-ctv"],
    },
  },
};
const EMBEDDED = { memory: { gguf: { context_flags: ["--context"], context: 8192, per_slot: true, slots: 4 } } };
const VLLM = { memory: { share: { flags: ["--gpu-memory-utilization"], assumed: 0.9 } } };

function contextOf(need: MemoryNeed): number | null {
  return need.kind === "bytes" ? (need.parts.find(({ what }) => what.startsWith("context"))?.bytes ?? null) : null;
}

function need(
  recipe: Parameters<typeof estimateNeed>[0]["recipe"],
  words: readonly string[],
  more: Partial<Parameters<typeof estimateNeed>[0]> = {},
) {
  return estimateNeed({ recipe, words, model: LLAMA_8B, slots: "auto", onGpu: true, ...more });
}

describe("the estimate", () => {
  it("is weights, context and overhead", () => {
    const estimate = need(LLAMA_SERVER, ["-c", "32768"]);
    expect(estimate).toMatchObject({
      kind: "bytes",
      parts: [
        { what: "weights", bytes: LLAMA_8B.fileBytes },
        { what: "context of 32768 tokens", bytes: 32768 * TOKEN },
        { what: "overhead" },
      ],
    });
  });

  it("takes a flag in either spelling, the last one, and the usual context when there is none", () => {
    expect(contextOf(need(LLAMA_SERVER, ["--ctx-size=8192"]))).toBe(8192 * TOKEN);
    expect(contextOf(need(LLAMA_SERVER, ["-c", "8192", "-c", "1024"]))).toBe(1024 * TOKEN);
    expect(contextOf(need(LLAMA_SERVER, []))).toBe(4096 * TOKEN);
    expect(contextOf(need(LLAMA_SERVER, ["-c", "0"]))).toBe(4096 * TOKEN);
    expect(contextOf(need(LLAMA_SERVER, [], { model: { ...LLAMA_8B, contextTokensMax: 1024 } }))).toBe(1024 * TOKEN);
  });

  it("counts a smaller cache and the layers that lie on the GPU", () => {
    expect(contextOf(need(LLAMA_SERVER, ["-ctk", "q8_0", "-ctv", "q8_0"]))).toBe((4096 * TOKEN * 34) / 64);
    const half = need(LLAMA_SERVER, ["-ngl", "16"]);
    expect(half.kind === "bytes" && half.parts[0]?.bytes).toBe(Math.ceil((LLAMA_8B.fileBytes * 16) / 33));
    expect(need(LLAMA_SERVER, ["-ngl", "99"])).toEqual(need(LLAMA_SERVER, ["-ngl", "all"]));
    expect(need(LLAMA_SERVER, ["-ngl", "16"], { onGpu: false })).toEqual(need(LLAMA_SERVER, [], { onGpu: false }));
  });

  it("multiplies by the slots where each has a context of its own", () => {
    expect(contextOf(need(EMBEDDED, ["--context", "2048"]))).toBe(4 * 2048 * TOKEN);
    expect(contextOf(need(EMBEDDED, ["--context", "2048"], { slots: 2 }))).toBe(2 * 2048 * TOKEN);
    expect(contextOf(need(LLAMA_SERVER, ["-c", "2048"], { slots: 2 }))).toBe(2048 * TOKEN);
  });

  it("is a share of each device for servers that take one, said or assumed", () => {
    expect(need(VLLM, [])).toEqual({ kind: "share", ratio: 0.9 });
    expect(need(VLLM, ["--gpu-memory-utilization", "0.5"])).toEqual({ kind: "share", ratio: 0.5 });
    expect(need(VLLM, ["--gpu-memory-utilization", "7"])).toEqual({ kind: "share", ratio: 0.9 });
    expect(need(VLLM, [], { onGpu: false })).toEqual({ kind: "unknown" });
  });

  it("is unknown without a GGUF, or without a recipe that says how", () => {
    expect(need(LLAMA_SERVER, [], { model: null })).toEqual({ kind: "unknown" });
    expect(need({}, [])).toEqual({ kind: "unknown" });
  });

  it("of a model whose numbers are missing is its weights and overhead", () => {
    expect(contextOf(need(LLAMA_SERVER, [], { model: { ...LLAMA_8B, heads: null } }))).toBe(0);
  });
});
