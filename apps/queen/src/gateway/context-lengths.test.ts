import { describe, expect, it } from "vitest";
import { contextLengthOf } from "./context-lengths.ts";

describe("contextLengthOf", () => {
  it.each([
    ["vLLM and SGLang", { data: [{ id: "qwen", max_model_len: 32_768 }] }, 32_768],
    ["llama-server", { data: [{ id: "/models/qwen.gguf", meta: { n_ctx_train: 40_960, n_embd: 4_096 } }] }, 40_960],
    ["ours", { data: [{ id: "qwen", context_length: 2_048 }] }, 2_048],
    [
      "a cloud with many",
      {
        data: [
          { id: "other", context_window: 1 },
          { id: "qwen", context_window: 131_072 },
        ],
      },
      131_072,
    ],
    ["one of many that says nothing", { data: [{ id: "other", context_window: 1 }, { id: "qwen" }] }, null],
    ["nonsense", { data: [{ id: "qwen", max_model_len: "much" }] }, null],
    ["a page of HTML", undefined, null],
  ])("finds it in the list of %s", (_engine, list, tokens) => {
    expect(contextLengthOf(list, "qwen")).toBe(tokens);
  });
});
