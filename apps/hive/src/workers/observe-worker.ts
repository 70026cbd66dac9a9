import type { OutputRotation } from "../process/output-rotation.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** A worker's facts after a look at its processes; keeps its output within limits. The same list stays the same object. */
export function factsOfRound(facts: WorkerFacts, live: readonly string[], output: OutputRotation): WorkerFacts {
  const isRotated = output.rotate();
  const isSame = live.length === facts.descendants.length && live.every((key, index) => key === facts.descendants[index]);
  return { ...facts, ...(isRotated ? { logOffset: 0 } : {}), ...(isSame ? {} : { descendants: live }) };
}
