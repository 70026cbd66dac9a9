import type { CounterMetric, Metrics } from "@queen-and-hive/daemon";
import { HIVE_STATES, type HiveRecord } from "@queen-and-hive/protocol";

/** What is counted about hives. */
export interface HiveMetrics {
  readonly restarts: CounterMetric<"hive" | "reason">;
  readonly healthChecks: CounterMetric<"hive" | "outcome">;
}

/** What is looked up at each scrape. */
export interface HiveMetricsSources {
  readonly hives: () => readonly HiveRecord[];
  /** Whether the mass-loss guard holds still. */
  readonly isFrozen: () => boolean;
  readonly nowMs: () => number;
}

/** Registers the metrics of hives. */
export function createHiveMetrics(metrics: Metrics, { hives, isFrozen, nowMs }: HiveMetricsSources): HiveMetrics {
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
  metrics.gauge(
    "queen_hives_frozen",
    "1 while so many hives are lost at once that nothing of them is ended or replaced.",
    [],
    (gauge) => gauge.set({}, isFrozen() ? 1 : 0),
  );
  return {
    restarts: metrics.counter("queen_hive_restarts_total", "Restarts of hives by the state that they were in.", [
      "hive",
      "reason",
    ]),
    healthChecks: metrics.counter("queen_hive_health_checks_total", "Health checks of hives by outcome.", ["hive", "outcome"]),
  };
}
