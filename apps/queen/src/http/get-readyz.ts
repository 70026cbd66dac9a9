import { isReady, overallStatus } from "./overall-status.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /readyz`: 200 once at least one hive runs and requests are taken, else 503. */
export function getReadyz(queen: QueenView): QueenHandler<"getReadyz"> {
  return async () => ({ status: isReady(queen) ? 200 : 503, body: { status: overallStatus(queen) } });
}
