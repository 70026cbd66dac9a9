import {
  type Clock,
  createMetrics,
  Deadline,
  type Log,
  type Metrics,
  onSignals,
  type RunningServer,
} from "@queen-and-hive/daemon";
import { QhError, WORKER_EXIT } from "@queen-and-hive/protocol";
import type { WorkerConfig } from "./config/worker-config.ts";
import type { Engine } from "./domain/generation.ts";
import { StartFailure } from "./domain/start-failure.ts";
import { loadEngine } from "./engine/load-engine.ts";
import { Serving, shuttingDown } from "./http/serving.ts";
import { startServer } from "./http/start-server.ts";
import { checkModelFile } from "./model/check-model-file.ts";
import { announceReady } from "./ready/announce-ready.ts";

/** How long streams get to write their last event once they are ended, and connections to close after that. */
const LAST_EVENT_MS = 500;
const CLOSE_MS = 300;

/** What a worker runs in. */
export interface WorkerSurroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/**
 * Runs a worker from its start to its stop: listens, loads, says that it is ready, serves, and ends on SIGTERM or SIGINT
 * (a second one cuts the drain short). Resolves once it has stopped. Throws StartFailure when it cannot start.
 */
export async function runWorker(config: WorkerConfig, surroundings: WorkerSurroundings): Promise<void> {
  const { clock, log } = surroundings;
  checkModelFile(config.modelPath);
  const metrics = createMetrics();
  metrics.observeDefaultProcessMetrics();
  const serving = new Serving(config.modelId, clock, metrics);
  const stop = new AbortController();
  const hurry = new AbortController();
  using _signals = onSignals({
    signals: ["SIGTERM", "SIGINT"],
    handle: (_signal, count) => (count === 1 ? stop : hurry).abort(new Error("this worker is being stopped")),
  });
  await using server = await listen(config, serving, metrics, log);
  log.info("listening", { url: server.url, model: config.modelId });
  await untilStopped(stop.signal, async () => {
    const engine = await load(config, serving, surroundings, stop.signal);
    await becomeReady(config, serving, server, engine, surroundings, stop.signal);
  });
  await endService(config, serving, server, clock, hurry.signal);
  log.info("stopped");
}

async function listen(config: WorkerConfig, serving: Serving, metrics: Metrics, log: Log): Promise<RunningServer> {
  try {
    return await startServer(config, serving, metrics, log);
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    const exitCode = error.kind === "port_in_use" ? WORKER_EXIT.portInUse : WORKER_EXIT.badConfiguration;
    throw new StartFailure(exitCode, error.message, error);
  }
}

/** Does the work and waits for the stop; a stop does not wait for the work, and its failures count only before. */
function untilStopped(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    else work().catch(reject);
  });
}

function load(config: WorkerConfig, serving: Serving, { clock, log }: WorkerSurroundings, signal: AbortSignal): Promise<Engine> {
  return loadEngine(
    {
      modelPath: config.modelPath,
      slots: config.slots,
      contextTokensMax: config.contextTokensMax,
      threads: config.threads,
      gpu: config.gpu,
      limits: { maxWaiting: config.maxWaiting, maxWaitMs: config.maxWaitMs },
    },
    {
      clock,
      log,
      signal,
      onProgress: (progress) => serving.apply({ type: "load_progress", progress }),
      onToken: () => serving.metrics.completionTokens.inc(),
    },
  );
}

async function becomeReady(
  config: WorkerConfig,
  serving: Serving,
  server: RunningServer,
  engine: Engine,
  { clock, log, random }: WorkerSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const effects = serving.apply({ type: "loaded", engine });
  if (!effects.includes("announce_ready")) return;
  log.info("ready", {
    model: config.modelId,
    slots: engine.slots,
    context_tokens: engine.contextTokens,
    threads: config.threads,
  });
  if (config.callback === null) return;
  const message = {
    worker_id: config.callback.workerId,
    url: server.url,
    model_ref: config.modelPath,
    backend: engine.backend,
    device: engine.device,
    pid: process.pid,
    slots: engine.slots,
    memory_bytes: process.memoryUsage.rss(),
  };
  await announceReady({ callback: config.callback, message, clock, log, random }, signal);
}

/** Refuses new requests, lets open ones finish within the drain, ends the rest with an error of their own, then closes. */
async function endService(
  config: WorkerConfig,
  serving: Serving,
  server: RunningServer,
  clock: Clock,
  hurry: AbortSignal,
): Promise<void> {
  serving.apply({ type: "stop" });
  using drain = Deadline.in(config.stopDrainMs, clock).signal(hurry);
  await serving.requests.whenIdle(drain);
  serving.requests.endAll(shuttingDown());
  using last = Deadline.in(LAST_EVENT_MS, clock).signal();
  await serving.requests.whenIdle(last);
  await server.close(Deadline.in(CLOSE_MS, clock));
}
