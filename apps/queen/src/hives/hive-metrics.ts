import type { CounterMetric, Metrics } from "@queen-and-hive/daemon";
import { HIVE_STATES, type HiveRecord } from "@queen-and-hive/protocol";

/** What is counted about hives. */
export interface HiveMetrics {
  readonly restarts: CounterMetric<"hive" | "reason">;
  readonly healthChecks: CounterMetric<"hive" | "outcome">;
}

/** Registers the metrics of hives; states and uptimes are looked up at each scrape. */
export function createHiveMetrics(metrics: Metrics, hives: () => readonly HiveRecord[], nowMs: () => number): HiveMetrics {
  metrics.gauge("queen_hives", "Hives by state.", ["state"], (gauge) => {
    const counts = new Map<string, number>(HIVE_STATES.map((state) => [state, 0]));
    for (const hive of hives()) counts.set(hive.state, (counts.get(hive.state) ?? 0) + 1);
    for (const [state, count] of counts) gauge.set({ state }, count);
  });
  metrics.gauge(
    "queen_hive_uptime_seconds",
    "How long each hive has been in state running; 0 in any other.",
    ["hive"],
    (gauge) => {
      for (const hive of hives()) {
        const uptimeS = hive.state === "running" ? Math.max(0, nowMs() - Date.parse(hive.since)) / 1_000 : 0;
        gauge.set({ hive: hive.hive_id }, uptimeS);
      }
    },
  );
  return {
    restarts: metrics.counter("queen_hive_restarts_total", "Restarts of hives by reason.", ["hive", "reason"]),
    healthChecks: metrics.counter("queen_hive_health_checks_total", "Health checks of hives by outcome.", ["hive", "outcome"]),
  };
}
