import { type ExitCause, type RuntimeRecipe, WORKER_EXIT } from "@queen-and-hive/protocol";
import type { ExitStatus } from "./exit-status.ts";
import type { OomEvidence } from "./oom-kills.ts";

/** What is known about an end that nobody asked for. */
export interface EndEvidence {
  readonly status: ExitStatus;
  /** Whether the kernel killed for lack of memory at that time. */
  readonly oomKills: OomEvidence;
  /** The last lines of the worker's output, oldest first. */
  readonly logTail: readonly string[];
  /** What the recipe of its runtime knows of exit codes and lines; they are looked at first. */
  readonly causes?: RuntimeRecipe["causes"] | undefined;
}

/** Why a worker ended: from its exit code where our own worker defines one, then from its output, then from the signal. */
export function classifyExit({ status, oomKills, logTail, causes = [] }: EndEvidence): ExitCause {
  if (status.exitCode === 0) return "finished";
  const own = causes.find(({ exit_code }) => exit_code !== undefined && exit_code === status.exitCode);
  if (own !== undefined) return own.cause;
  const byCode = status.exitCode === null ? undefined : CAUSE_BY_CODE.get(status.exitCode);
  if (byCode !== undefined) return byCode;
  const isUnknown = status.exitCode === null && status.signal === null;
  // Where the kernel killed all of the worker at once, nobody was left to say how the engine ended.
  if (oomKills === "worker" && isUnknown) return "oom_killed";
  if (oomKills !== "none" && status.signal === "SIGKILL") return "oom_killed";
  // A kill from outside has no cause in the output; a crash of the engine's own often has.
  if (status.signal !== null && SENT_FROM_OUTSIDE.has(status.signal)) return "killed";
  const told = causeInOutput(logTail, causes);
  if (told !== null) return told;
  if (status.signal !== null) return FAULTS.get(status.signal) ?? "killed";
  // An engine ends with a code of its own when a process that it has started was killed.
  return oomKills === "worker" ? "oom_killed" : "unknown";
}

/** Why a worker ended, as its output tells: the newest line that names a cause we know; null when none does. */
function causeInOutput(logTail: readonly string[], causes: RuntimeRecipe["causes"] = []): ExitCause | null {
  const own = causes.flatMap(({ line, cause }) => (line === undefined ? [] : [{ pattern: new RegExp(line, "i"), cause }]));
  const sentences = [...own, ...SENTENCES];
  for (let index = logTail.length - 1; index >= 0; index -= 1) {
    const line = logTail[index] ?? "";
    const known = sentences.find(({ pattern }) => pattern.test(line));
    if (known !== undefined) return known.cause;
  }
  return null;
}

/** Ours (WORKER_EXIT), and what every shell says for a command that is missing (127) or cannot be run (126). */
const CAUSE_BY_CODE: ReadonlyMap<number, ExitCause> = new Map<number, ExitCause>([
  [WORKER_EXIT.modelMissing, "model_missing"],
  [WORKER_EXIT.modelInvalid, "model_invalid"],
  [WORKER_EXIT.runtimeMissing, "runtime_missing"],
  [WORKER_EXIT.portInUse, "port_in_use"],
  [WORKER_EXIT.badConfiguration, "bad_flag"],
  [126, "runtime_missing"],
  [127, "runtime_missing"],
]);

/** What the kernel ends a process with for its own fault, or the process itself when it finds one (signal(7)). */
const FAULTS: ReadonlyMap<string, ExitCause> = new Map<string, ExitCause>([
  ["SIGILL", "illegal_instruction"],
  ["SIGSEGV", "segmentation_fault"],
  ["SIGBUS", "bus_error"],
  ["SIGABRT", "aborted"],
  ["SIGFPE", "crashed"],
  ["SIGTRAP", "crashed"],
  ["SIGSYS", "crashed"],
]);

const SENT_FROM_OUTSIDE: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]);

/**
 * Sentences of llama-server, vLLM, SGLang, PyTorch, CUDA and the C library. Only these tell causes apart that engines end
 * with the same code for; a missed one is `unknown`, never wrong behaviour.
 */
const SENTENCES: readonly { readonly pattern: RegExp; readonly cause: ExitCause }[] = [
  {
    pattern:
      /cuda (error: )?out of memory|cudaMalloc failed: out of memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|ErrorOutOfDeviceMemory/i,
    cause: "cuda_oom",
  },
  { pattern: /no available memory for the cache blocks|Free memory on device .* is less than desired/i, cause: "cuda_oom" },
  { pattern: /address already in use|EADDRINUSE|couldn't bind( HTTP server)? (to )?(socket|.*port)/i, cause: "port_in_use" },
  {
    pattern:
      /no CUDA-capable device|CUDA driver version is insufficient|NVIDIA-SMI has failed|Failed to infer device type|cuInit.*(error|failed)|libcuda\.so.*cannot open/i,
    cause: "driver_not_up",
  },
  {
    pattern:
      /unrecognized arguments?|error: (unknown|invalid) (argument|option)|unknown option|unrecognized option|invalid argument: -|No such option/i,
    cause: "bad_flag",
  },
  {
    pattern:
      /invalid magic|not a GGUF|unsupported GGUF|tensor .* data is not within the file bounds|failed to read (key-values|tensor)|model is corrupted or incomplete|Error while deserializing header/i,
    cause: "model_invalid",
  },
  {
    pattern:
      /failed to open GGUF file|(no such file or directory|does not exist).*\.(gguf|safetensors)|\.(gguf|safetensors).*(no such file|does not exist|not found)|is not a local folder and is not a valid model identifier|Repository Not Found/i,
    cause: "model_missing",
  },
];
