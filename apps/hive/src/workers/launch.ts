import { QhError, type WorkerExit } from "@queen-and-hive/protocol";
import { wordProblem } from "../domain/command-line.ts";
import { VMSTAT } from "../process/oom-watch.ts";
import { type HeldProcess, holdProcess } from "../process/shim.ts";
import { commandLine, type ResolvedRuntime, resolveRuntime } from "../runtimes/resolve-launch.ts";
import { searchPathOf, workerEnvironment } from "../runtimes/worker-environment.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import type { CallbackToken } from "./callback-token.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** What one launch needs beside the worker's facts. */
export interface LaunchParts {
  readonly options: SupervisorOptions;
  readonly paths: WorkerPaths;
  readonly incarnation: number;
  readonly facts: WorkerFacts;
  readonly token: CallbackToken;
  readonly signal: AbortSignal;
}

/** Refuses what cannot be launched whatever the state of the host. Throws `invalid_body`. */
export function checkWords(words: readonly string[], where: string): void {
  for (const [index, word] of words.entries()) {
    const problem = wordProblem(word);
    if (problem !== null) {
      throw new QhError("invalid_body", `cannot pass ${where}/${index} to a process: it ${problem}`, {
        param: `${where}/${index}`,
      });
    }
  }
}

/** Looks whether program and model are there, before anything is taken or recorded. Throws as `resolveRuntime`. */
export function checkLaunch(options: SupervisorOptions, facts: WorkerFacts): ResolvedRuntime {
  const { config, embeddedWorker, environment } = options;
  const searchPath = searchPathOf({ spec: facts.spec, hostEnv: config.env, inherited: environment });
  return resolveRuntime({ spec: facts.spec, config, embeddedWorker, searchPath });
}

/**
 * Starts the process of one incarnation and holds it before it becomes the engine. The intent must be in the ledger
 * already. Throws `runtime_unavailable`, `model_missing`, `spawn_failed`.
 */
export async function launch({ options, paths, incarnation, facts, token, signal }: LaunchParts): Promise<HeldProcess> {
  const { config, embeddedWorker, environment, stateId, clock } = options;
  const { workerId, ports } = facts;
  const spec = { ...facts.spec, devices: [...facts.devices] };
  const parts = { spec, hostEnv: config.env, inherited: environment };
  const runtime = resolveRuntime({ spec, config, embeddedWorker, searchPath: searchPathOf(parts) });
  const argv = commandLine({ workerId, spec, ports, config, embeddedWorker, searchPath: searchPathOf(parts) }, runtime);
  const callbackUrl = await unlessAborted(options.callbackUrl(), signal);
  const env = workerEnvironment({
    ...parts,
    workerId,
    stateId,
    host: config.workerHost,
    ports,
    modelPath: runtime.modelPath,
    callbackUrl,
    callbackToken: token.token,
    workerKey: options.workerKey?.(workerId) ?? null,
  });
  return await holdProcess(
    {
      argv,
      environment: env,
      cwd: paths.dir,
      logPath: paths.output,
      alivePath: paths.alive(incarnation),
      exitPath: paths.exit(incarnation),
      vmstatPath: options.kernel?.vmstat ?? VMSTAT,
      oomKillsPath: paths.oomKills(incarnation),
    },
    clock,
  );
}

/** Why a launch failed, as the end of the incarnation that never ran. */
export function launchFailure(error: unknown): WorkerExit {
  const cause = error instanceof QhError ? CAUSES[error.kind] : undefined;
  const named = error instanceof QhError && error.details?.["cause"] === "runtime_missing" ? "runtime_missing" : undefined;
  const line = error instanceof Error ? error.message : String(error);
  return { exit_code: null, signal: null, cause: named ?? cause ?? "unknown", log_tail: [line.slice(0, LINE_CHARACTERS_MAX)] };
}

const LINE_CHARACTERS_MAX = 2_000;

const CAUSES: Readonly<Partial<Record<QhError["kind"], WorkerExit["cause"]>>> = {
  model_missing: "model_missing",
  runtime_unavailable: "runtime_missing",
  port_in_use: "port_in_use",
  insufficient_memory: "insufficient_memory",
  model_too_large: "insufficient_memory",
  device_missing: "device_missing",
};

async function unlessAborted<T>(value: T | Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([value, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
