import { rotateOutput } from "../process/output-log.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import type { SupervisorConfig } from "./supervisor-options.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** A worker's facts after a look at its processes; keeps its output within limits. The same list stays the same object. */
export function factsOfRound(
  facts: WorkerFacts,
  live: readonly string[],
  { output }: WorkerPaths,
  { limits }: SupervisorConfig,
): WorkerFacts {
  const isRotated = rotateOutput(output, { bytesMax: limits.workerLogBytes, kept: limits.workerLogsKept });
  const isSame = live.length === facts.descendants.length && live.every((key, index) => key === facts.descendants[index]);
  return { ...facts, ...(isRotated ? { logOffset: 0 } : {}), ...(isSame ? {} : { descendants: live }) };
}
