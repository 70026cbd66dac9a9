import type { Metrics } from "@queen-and-hive/daemon";
import type { ErrorKind } from "@queen-and-hive/protocol";
import type { Waited } from "../domain/queue.ts";
import type { RequestRow } from "./request-row.ts";

/** From a ready callback to the request on the wire: single milliseconds are what matters. */
const RESUME_BUCKETS_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1];
const OVERHEAD_BUCKETS_S = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1];
/** Stands for every model that does not exist, so that clients cannot make labels. */
const NO_MODEL = "unknown";

/** The gateway's numbers; times come in milliseconds and are kept in seconds. */
export interface GatewayMetrics {
  started(): void;
  ended(row: RequestRow, overheadMs: number | null): void;
  waited(waited: Waited): void;
  /** A request that waited for an event was sent on, so long after the event. */
  resumed(afterMs: number): void;
  queueDepth(modelId: string, waiting: number): void;
  /** `server`: a hive, or `upstream:<id>`. */
  connections(server: string, difference: 1 | -1): void;
}

/** Registers the metrics and gives the functions that feed them. */
export function createGatewayMetrics(metrics: Metrics): GatewayMetrics {
  const requests = metrics.counter("queen_requests_total", "Requests that have ended", ["model", "route", "status"]);
  const duration = metrics.histogram("queen_request_duration_seconds", "From arrival to the end of the answer", [
    "model",
    "route",
  ]);
  const firstToken = metrics.histogram("queen_time_to_first_token_seconds", "From arrival to the first byte of the answer", [
    "model",
  ]);
  const overhead = metrics.histogram(
    "queen_overhead_seconds",
    "The queen's own share of the time to the first byte",
    [],
    OVERHEAD_BUCKETS_S,
  );
  const depth = metrics.gauge("queen_queue_depth", "Requests that wait", ["model"]);
  const wait = metrics.histogram("queen_queue_wait_seconds", "Time a request waited until its first try", ["for"]);
  const active = metrics.gauge("queen_active_requests", "Requests that have arrived and not ended");
  const connections = metrics.gauge("queen_upstream_connections", "Open connections to workers", ["hive"]);
  const errors = metrics.counter<"kind">("queen_errors_total", "Requests that ended with an error", ["kind"]);
  const tokens = metrics.counter<"model" | "kind">("queen_tokens_total", "Tokens that engines have reported", ["model", "kind"]);
  const resume = metrics.histogram(
    "queen_resume_seconds",
    "From the event that lets a waiting request go on to the request on the wire",
    [],
    RESUME_BUCKETS_S,
  );
  const failed = (kind: ErrorKind | null): void => {
    if (kind !== null) errors.inc({ kind });
  };
  return {
    started: () => active.inc(),
    ended: (row, overheadMs) => {
      const model = row.model ?? NO_MODEL;
      active.dec();
      requests.inc({ model, route: row.route, status: row.status });
      duration.observe({ model, route: row.route }, row.duration_ms / 1_000);
      if (row.ttft_ms !== null) firstToken.observe({ model }, row.ttft_ms / 1_000);
      if (overheadMs !== null) overhead.observe(overheadMs / 1_000);
      if (row.prompt_tokens !== null) tokens.inc({ model, kind: "prompt" }, row.prompt_tokens);
      if (row.completion_tokens !== null) tokens.inc({ model, kind: "completion" }, row.completion_tokens);
      failed(row.error_kind);
    },
    waited: ({ slotMs, loadMs }) => {
      wait.observe({ for: "slot" }, slotMs / 1_000);
      if (loadMs > 0) wait.observe({ for: "load" }, loadMs / 1_000);
    },
    resumed: (afterMs) => resume.observe(afterMs / 1_000),
    queueDepth: (modelId, waiting) => depth.set({ model: modelId }, waiting),
    connections: (server, difference) => connections.inc({ hive: server }, difference),
  };
}
