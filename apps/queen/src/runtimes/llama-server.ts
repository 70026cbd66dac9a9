import type { RuntimeDefinition } from "./runtime-definition.ts";

/**
 * llama.cpp's `llama-server` (tools/server/README.md there). `/health` answers 503 "Loading model" while it loads, `/props`
 * says its slots. The context (`-c`) is shared by all slots.
 */
export const LLAMA_SERVER: RuntimeDefinition = {
  command: ["llama-server", "--host", "{host}", "--port", "{port}", "--model", "{model_path}", "--alias", "{model}"],
  files: {
    mmproj: ["--mmproj", "{file}"],
    draft: ["--model-draft", "{file}"],
    lora: ["--lora", "{file}"],
    chat_template: ["--jinja", "--chat-template-file", "{file}"],
  },
  key_env: "LLAMA_API_KEY",
  ready: { http: "/health" },
  check: { http: "/health" },
  slots: { http: "/props", fields: ["total_slots"], flags: ["--parallel", "-np"], assumed: 1 },
  memory: {
    gguf: {
      context_flags: ["--ctx-size", "-c"],
      context: 4096,
      gpu_layers_flags: ["--n-gpu-layers", "--gpu-layers", "-ngl"],
      key_type_flags: ["--cache-type-k", "-ctk"],
      value_type_flags: ["--cache-type-v", "-ctv"],
    },
  },
  causes: [
    { line: "failed to allocate buffer for kv cache|unable to allocate (CUDA|ROCm|HIP|Vulkan)\\S* buffer", cause: "cuda_oom" },
    { line: "couldn't bind HTTP server socket", cause: "port_in_use" },
    { line: "error: (invalid|unknown) argument|error while (handling|parsing) argument", cause: "bad_flag" },
    { line: "failed to open GGUF file|gguf_init_from_file: failed to open", cause: "model_missing" },
    {
      line: "unknown model architecture|invalid magic characters|tensor '.*' data is not within the file bounds",
      cause: "model_invalid",
    },
  ],
  routes: ["/infill", "/tokenize", "/detokenize", "/apply-template"],
  devices: 1,
};
