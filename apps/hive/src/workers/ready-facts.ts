import type { WorkerReadyCallback } from "@queen-and-hive/protocol";
import type { ReadyFacts } from "../domain/worker-states.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import { type WorkerFacts, workerUrl } from "./worker-facts.ts";

/** What a callback says, with an address that is surely the worker's: requests go nowhere but to the ports it was given. */
export function readyFactsOf(callback: WorkerReadyCallback, facts: WorkerFacts, { config, log }: SupervisorOptions): ReadyFacts {
  const own = workerUrl(config.workerHost, facts.ports[0] ?? 0);
  const isOurs = facts.ports.some((port) => workerUrl(config.workerHost, port) === callback.url.replace(/\/$/, ""));
  if (!isOurs) {
    log.warn("a worker said that it listens elsewhere than it was told; the address it was told counts", {
      worker_id: facts.workerId,
      said: callback.url,
      told: own,
    });
  }
  return {
    url: isOurs ? callback.url : own,
    model_ref: callback.model_ref,
    backend: callback.backend,
    device: callback.device,
    ...(callback.slots === undefined ? {} : { slots: Math.min(callback.slots, config.limits.slotsPerWorker) }),
    ...(callback.memory_bytes === undefined ? {} : { memory_bytes: callback.memory_bytes }),
  };
}
