import { describe, expect, it } from "vitest";
import { classifyExit } from "../../apps/hive/src/domain/exit-cause.ts";
import { resolveRuntime } from "../../apps/queen/src/runtimes/resolve-runtime.ts";

function causeOf(runtime: string, exitCode: number, logTail: readonly string[]) {
  const resolved = resolveRuntime({}, runtime);
  if ("kind" in resolved) throw new Error(`there is no runtime ${runtime}`);
  const { causes } = resolved.recipe;
  return classifyExit({ status: { exitCode, signal: null }, oomKills: "none", logTail, causes });
}

/** Printed by llama-server b10434 (commit 7e4c0a9) on Linux x86_64, shortened at their ends. */
const LLAMA_SERVER = {
  bad_flag: [
    ["error: invalid argument: --bogus"],
    [
      'error while handling argument "--ctx-size": stoi',
      "",
      "usage:",
      "-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)",
      "to show complete usage, run with -h",
    ],
  ],
  model_missing: [
    [
      "0.00.024.963 E gguf_init_from_file: failed to open GGUF file '/nope.gguf' (No such file or directory)",
      "0.00.024.967 E llama_model_load: error loading model: llama_model_loader: failed to load model from /nope.gguf",
      "0.00.024.972 E srv    load_model: failed to load model, '/nope.gguf'",
      "0.00.004.378 E srv  llama_server: exiting due to model loading error",
    ],
  ],
  model_invalid: [
    [
      "0.00.005.239 E gguf_init_from_reader: invalid magic characters: 'root', expected 'GGUF'",
      "0.00.005.253 E llama_model_load: error loading model: llama_model_loader: failed to load model from /etc/passwd",
      "0.00.005.286 E srv    load_model: failed to load model, '/etc/passwd'",
    ],
    [
      "0.00.014.742 E llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data is not within the file bounds, model is corrupted or incomplete",
      "0.00.014.790 E cmn  common_init_: failed to load model '/tmp/cut.gguf'",
    ],
  ],
  port_in_use: [
    [
      "0.00.002.964 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18125",
      "0.00.002.974 I srv    operator(): operator(): cleaning up before exit...",
    ],
  ],
} as const;

describe("llama-server's own last words", () => {
  it.each(Object.entries(LLAMA_SERVER))("mean %s", (cause, tails) => {
    for (const tail of tails) expect(causeOf("llama-server", 1, tail)).toBe(cause);
  });
});

/** As their issue trackers quote them; these two were not run. */
const QUOTED = [
  [
    "vllm",
    "cuda_oom",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
  ],
  [
    "vllm",
    "cuda_oom",
    "ValueError: Free memory on device (7.1/23.6 GiB) on startup is less than desired GPU memory utilization (0.9, 21.3 GiB).",
  ],
  [
    "vllm",
    "cuda_oom",
    "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (32560).",
  ],
  [
    "vllm",
    "cuda_oom",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 23.6 GiB",
  ],
  ["vllm", "driver_not_up", "RuntimeError: Failed to infer device type"],
  ["vllm", "bad_flag", "vllm: error: unrecognized arguments: --bogus 1"],
  ["vllm", "model_missing", "ValueError: Invalid repository ID or local directory specified: '/srv/models/absent'"],
  ["vllm", "model_invalid", "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"],
  ["vllm", "port_in_use", "OSError: [Errno 98] Address already in use"],
  [
    "sglang",
    "cuda_oom",
    "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: self.server_args.mem_fraction_static=0.5",
  ],
  ["sglang", "bad_flag", "launch_server.py: error: unrecognized arguments: --bogus"],
  ["sglang", "runtime_missing", "/usr/bin/python3: Error while finding module specification: No module named 'sglang'"],
  ["embedded", "unknown", "something else"],
] as const;

it.each(QUOTED)("of %s: %s", (runtime, cause, line) => {
  expect(causeOf(runtime, 1, ["INFO starting", line, "Traceback ends"])).toBe(cause);
});

it("a recipe's exit code speaks before all lines", () => {
  const evidence = { status: { exitCode: 42, signal: null }, oomKills: "none", logTail: ["CUDA out of memory"] } as const;
  expect(classifyExit({ ...evidence, causes: [{ exit_code: 42, cause: "bad_flag" }] })).toBe("bad_flag");
  expect(classifyExit(evidence)).toBe("cuda_oom");
});
