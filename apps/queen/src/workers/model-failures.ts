import { backoffMs, type Clock } from "@queen-and-hive/daemon";
import type { ExitCause, QhError } from "@queen-and-hive/protocol";
import type { RestartSettings } from "../config/settings.ts";
import type { ModelFailure } from "./worker-directory.ts";

/** Why the last attempt to have a worker of each model failed, and from when on another attempt makes sense. */
export class ModelFailures {
  readonly #restart: RestartSettings;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #failures = new Map<string, { cause: ExitCause; retryAtMs: number; inARow: number }>();

  constructor(options: { readonly restart: RestartSettings; readonly clock: Clock; readonly random: () => number }) {
    this.#restart = options.restart;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Notes a failure; the wait until another attempt makes sense grows with failures in a row. Returns it in milliseconds. */
  note(model: string, cause: ExitCause): number {
    const inARow = (this.#failures.get(model)?.inARow ?? 0) + 1;
    const waitMs = backoffMs(inARow - 1, this.#restart, this.#random);
    this.#failures.set(model, { cause, retryAtMs: this.#clock.monotonicMs() + waitMs, inARow });
    return waitMs;
  }

  /** A worker of the model became ready: all is forgiven. */
  forgive(model: string): void {
    this.#failures.delete(model);
  }

  /** Whether another attempt makes sense now. */
  mayRetry(model: string): boolean {
    const failure = this.#failures.get(model);
    return failure === undefined || failure.retryAtMs <= this.#clock.monotonicMs();
  }

  /** What clients are told; null when nothing failed. */
  get(model: string): ModelFailure | null {
    const failure = this.#failures.get(model);
    if (failure === undefined) return null;
    const waitMs = Math.max(0, failure.retryAtMs - this.#clock.monotonicMs());
    return {
      cause: failure.cause,
      message: failureMessage(model, failure.cause),
      retryAfterS: Math.max(1, Math.ceil(waitMs / 1_000)),
    };
  }
}

/** A sentence for clients: the cause in words, no log lines and no paths. */
function failureMessage(model: string, cause: ExitCause): string {
  return `cannot serve the model ${JSON.stringify(model)}: ${CAUSE_WORDS[cause]}; an operator finds details with "queen ps" and "queen events"`;
}

/** A refused spawn call -> the cause that it stands for. */
export function causeOfRefusal(error: QhError): ExitCause {
  const said = error.details?.["cause"];
  if (typeof said === "string" && isExitCause(said)) return said;
  switch (error.kind) {
    case "model_missing":
      return "model_missing";
    case "runtime_unavailable":
      return "runtime_missing";
    case "port_in_use":
      return "port_in_use";
    default:
      return "unknown";
  }
}

const CAUSE_WORDS: Readonly<Record<ExitCause, string>> = {
  stopped: "its worker has been stopped",
  finished: "its worker ended by itself",
  killed: "its worker was killed",
  oom_killed: "its worker was killed because the machine ran out of memory",
  illegal_instruction:
    "its engine used an instruction that the processor of its hive does not have (SIGILL), as one that was built for another processor does",
  segmentation_fault: "its engine crashed on a memory access (SIGSEGV), mostly a fault of the engine or of its driver",
  bus_error: "its engine could not get at memory that it had (SIGBUS), mostly since the model file was cut or its disk failed",
  aborted: "its engine gave up by itself (SIGABRT), mostly on a check of its own that failed; its last lines say which",
  crashed: "its engine crashed",
  cuda_oom: "its worker ran out of GPU memory",
  port_in_use: "its worker found no free port",
  bad_flag: "its worker refused a flag of its command line",
  model_missing: "the model file is missing on its hive",
  model_invalid: "the model file cannot be read as a model",
  runtime_missing: "its runtime is not available on its hive",
  driver_not_up: "the GPU driver is not up",
  device_missing: "a device that it is to run on is not there",
  insufficient_memory: "no hive has enough free memory for it, and nothing that is loaded there may make room",
  start_silent: "its worker gave no sign of life while starting",
  start_too_long: "its worker took too long to start",
  listens_on_loopback_only: "its worker listens where the queen cannot reach it",
  hung: "its worker hung",
  host_rebooted: "its host was started anew",
  unknown: "its worker could not be started",
};

function isExitCause(text: string): text is ExitCause {
  return Object.hasOwn(CAUSE_WORDS, text);
}
