import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /metrics`: Prometheus text. */
export function getMetrics(queen: QueenView): QueenHandler<"getMetrics"> {
  return async () => ({ body: await queen.metrics.render(), headers: { "content-type": queen.metrics.contentType } });
}
