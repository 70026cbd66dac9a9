import type { WorkerReadyCallback } from "@queen-and-hive/protocol";
import type { ReadyFacts } from "../domain/worker-states.ts";
import { askSlots } from "../process/ask-slots.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import { type WorkerFacts, workerUrl } from "./worker-facts.ts";

/**
 * What a callback says, with an address that is surely the worker's: requests go nowhere but to the ports it was given. It
 * is asked for its slots when it does not say them and its recipe knows how.
 */
export async function readyFactsOf(
  callback: WorkerReadyCallback,
  facts: WorkerFacts,
  { config, log, workerKey }: SupervisorOptions,
): Promise<ReadyFacts> {
  const own = workerUrl(config.workerHost, facts.ports[0] ?? 0);
  const isOurs = facts.ports.some((port) => workerUrl(config.workerHost, port) === callback.url.replace(/\/$/, ""));
  if (!isOurs) {
    log.warn("a worker said that it listens elsewhere than it was told; the address it was told counts", {
      worker_id: facts.workerId,
      said: callback.url,
      told: own,
    });
  }
  const url = isOurs ? callback.url : own;
  const asked = { spec: facts.spec, url, key: workerKey?.(facts.workerId) ?? null };
  const slots = callback.slots ?? (await askSlots(asked, new AbortController().signal));
  return {
    url,
    model_ref: callback.model_ref,
    backend: callback.backend,
    device: callback.device,
    ...(slots === null ? {} : { slots: Math.min(slots, config.limits.slotsPerWorker) }),
    ...(callback.memory_bytes === undefined ? {} : { memory_bytes: callback.memory_bytes }),
  };
}
