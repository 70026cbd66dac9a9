import type { RuntimeDefinition } from "./runtime-definition.ts";

/**
 * vLLM (`vllm serve`, docs.vllm.ai "Engine arguments" and "Environment variables"). It listens when its engine has compiled
 * and loaded, so `/health` is readiness. It takes `--gpu-memory-utilization` (0.9) of each whole device, and does not say
 * how many sequences it batches: 256 where the GPU has less than 70 GiB, more otherwise.
 */
export const VLLM: RuntimeDefinition = {
  command: [
    "vllm",
    "serve",
    "{model_path}",
    "--host",
    "{host}",
    "--port",
    "{port}",
    "--served-model-name",
    "{model}",
    "--tensor-parallel-size",
    "{device_count}",
  ],
  files: { chat_template: ["--chat-template", "{file}"], speculative_config: ["--speculative-config", "{file}"] },
  key_env: "VLLM_API_KEY",
  ready: { http: "/health" },
  check: { http: "/health" },
  // Its engine's and tensor-parallel processes end one after the other.
  stop: { term: "15s" },
  slots: { flags: ["--max-num-seqs"], assumed: 256 },
  memory: { share: { flags: ["--gpu-memory-utilization"], assumed: 0.9 } },
  causes: [
    {
      line: "No available memory for the cache blocks|is less than desired GPU memory utilization|larger than the (maximum number of tokens that can be stored in|available) KV cache",
      cause: "cuda_oom",
    },
    { line: "Failed to infer device type|No CUDA GPUs are available", cause: "driver_not_up" },
    { line: "error: (unrecognized arguments|argument .*: (invalid|expected))", cause: "bad_flag" },
    { line: "Invalid repository ID or local directory specified", cause: "model_missing" },
    { line: "Model architectures .* are not supported|Error while deserializing header", cause: "model_invalid" },
  ],
  routes: [
    "/tokenize",
    "/detokenize",
    "/pooling",
    "/classify",
    "/score",
    "/v1/score",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
  ],
  devices: 1,
};
