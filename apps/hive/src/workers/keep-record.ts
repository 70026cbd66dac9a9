import type { WorkerLife } from "../domain/worker-states.ts";
import { entryOf } from "./ledger-mapping.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/**
 * Writes a worker's state into the ledger. Stopping and reporting go on when the disk is full; only a process that is not
 * recorded must not begin. Throws `storage_failed` if `mustSucceed`.
 */
export async function keepRecord(
  { ledger, bootId, options }: WorkerContext,
  life: WorkerLife,
  facts: WorkerFacts,
  mustSucceed: boolean,
): Promise<void> {
  try {
    await ledger.write(facts.workerId, entryOf(life, facts, bootId));
  } catch (error) {
    if (mustSucceed) throw error;
    options.log.error("cannot record a worker's state; it goes on unrecorded", { error, worker_id: facts.workerId });
  }
}

/** Removes a stopped worker's record and gives its ports back; a record that stays is found again at the next start. */
export async function dropRecord(
  { ledger, ports, options }: WorkerContext,
  { workerId, ports: taken }: WorkerFacts,
): Promise<void> {
  ports.release(taken);
  try {
    await ledger.remove(workerId);
  } catch (error) {
    options.log.error("cannot remove a stopped worker's record", { error, worker_id: workerId });
  }
}
