import type { Metrics } from "@queen-and-hive/daemon";
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
  let active = 0;
  metrics.gauge("queen_active_requests", "Requests that have arrived and not ended", [], (gauge) => gauge.set(active));
  const connections = metrics.gauge("queen_upstream_connections", "Open connections to workers", ["hive"]);
  const errors = metrics.counter<"kind">("queen_errors_total", "Requests that ended with an error", ["kind"]);
  const tokens = metrics.counter<"model" | "kind">("queen_tokens_total", "Tokens that engines have reported", ["model", "kind"]);
  const resume = metrics.histogram(
    "queen_resume_seconds",
    "From the event that lets a waiting request go on to the request on the wire",
    [],
    RESUME_BUCKETS_S,
  );
  const ended = metrics.gathered<Ended>((entries) => {
    for (const { overheadMs } of entries) if (overheadMs !== null) overhead.observe(overheadMs / 1_000);
    for (const { row } of entries) if (row.error_kind !== null) errors.inc({ kind: row.error_kind });
    for (const [model, ofModel] of Map.groupBy(entries, ({ row }) => row.model ?? NO_MODEL)) {
      for (const { row } of ofModel) if (row.ttft_ms !== null) firstToken.observe({ model }, row.ttft_ms / 1_000);
      const prompt = sumOf(ofModel, ({ row }) => row.prompt_tokens);
      if (prompt !== null) tokens.inc({ model, kind: "prompt" }, prompt);
      const completion = sumOf(ofModel, ({ row }) => row.completion_tokens);
      if (completion !== null) tokens.inc({ model, kind: "completion" }, completion);
      for (const [route, ofRoute] of Map.groupBy(ofModel, ({ row }) => row.route)) {
        for (const { row } of ofRoute) duration.observe({ model, route }, row.duration_ms / 1_000);
        for (const [status, same] of Map.groupBy(ofRoute, ({ row }) => row.status)) {
          requests.inc({ model, route, status }, same.length);
        }
      }
    }
  });
  const waited = metrics.gathered<Waited>((entries) => {
    for (const { slotMs } of entries) wait.observe({ for: "slot" }, slotMs / 1_000);
    for (const { loadMs } of entries) if (loadMs > 0) wait.observe({ for: "load" }, loadMs / 1_000);
  });
  return {
    started: () => {
      active += 1;
    },
    ended: (row, overheadMs) => {
      active -= 1;
      ended({ row, overheadMs });
    },
    waited,
    resumed: (afterMs) => resume.observe(afterMs / 1_000),
    queueDepth: (modelId, waiting) => depth.set({ model: modelId }, waiting),
    connections: (server, difference) => connections.inc({ hive: server }, difference),
  };
}

interface Ended {
  readonly row: RequestRow;
  readonly overheadMs: number | null;
}

/** The sum of the values that are there; null when none is. */
function sumOf<Entry>(entries: readonly Entry[], pick: (entry: Entry) => number | null): number | null {
  let sum: number | null = null;
  for (const entry of entries) {
    const value = pick(entry);
    if (value !== null) sum = (sum ?? 0) + value;
  }
  return sum;
}
