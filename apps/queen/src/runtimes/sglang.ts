import type { RuntimeDefinition } from "./runtime-definition.ts";

/**
 * SGLang (`python3 -m sglang.launch_server`, docs.sglang.ai "Server arguments"). `/health` answers 503 until it serves.
 * It takes its key from its command line only, which every user of the host can read: no variable is set, and where a key
 * is due its port must be closed to strangers by other means.
 */
export const SGLANG: RuntimeDefinition = {
  command: [
    "python3",
    "-m",
    "sglang.launch_server",
    "--model-path",
    "{model_path}",
    "--host",
    "{host}",
    "--port",
    "{port}",
    "--served-model-name",
    "{model}",
    "--tp-size",
    "{device_count}",
  ],
  files: { chat_template: ["--chat-template", "{file}"], draft: ["--speculative-draft-model-path", "{file}"] },
  ready: { http: "/health" },
  check: { http: "/health" },
  stop: { term: "15s" },
  slots: {
    http: "/get_server_info",
    fields: ["max_running_requests", "internal_states.0.effective_max_running_requests_per_dp"],
    flags: ["--max-running-requests"],
    assumed: 64,
  },
  memory: { share: { flags: ["--mem-fraction-static"], assumed: 0.88 } },
  causes: [
    { line: "Not enough memory\\. Please try to increase --mem-fraction-static", cause: "cuda_oom" },
    { line: "error: (unrecognized arguments|argument .*: (invalid|expected))", cause: "bad_flag" },
    { line: "No accelerator \\(CUDA, XPU, HPU.*\\) is available|No CUDA GPUs are available", cause: "driver_not_up" },
    { line: "No module named '?sglang", cause: "runtime_missing" },
  ],
  routes: ["/generate", "/encode", "/classify", "/tokenize", "/detokenize", "/v1/score"],
  devices: 1,
};
