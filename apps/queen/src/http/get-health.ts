import { overallStatus } from "./overall-status.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /health`: a summary for people: how many hives, workers and upstreams in which state. */
export function getHealth(queen: QueenView): QueenHandler<"getHealth"> {
  return async () => ({
    body: {
      status: overallStatus(queen),
      version: queen.version,
      hives: countBy(queen.hives().map((hive) => hive.state)),
      workers: countBy(queen.workers().map((worker) => worker.state)),
      upstreams: countBy(queen.upstreams()),
    },
  });
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
