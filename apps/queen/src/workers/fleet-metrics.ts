import type { CounterMetric, HistogramMetric, Metrics } from "@queen-and-hive/daemon";

/** What the fleet measures. */
export interface FleetMetrics {
  /** From the decision on a worker to its first ready, seconds. */
  readonly spawnToReady: HistogramMetric<never>;
  /** From the hive's `ready_at` to the effect at the queen, seconds. */
  readonly readyNotify: HistogramMetric<never>;
  /** Requests that the queen sent to learn of readiness: 0 in a healthy run. */
  readonly fallbackPolls: CounterMetric<never>;
  readonly callbacks: CounterMetric<"message" | "outcome">;
}

/** Registers the fleet's metrics. */
export function createFleetMetrics(metrics: Metrics): FleetMetrics {
  return {
    spawnToReady: metrics.histogram(
      "queen_worker_spawn_to_ready_seconds",
      "From the queen's decision on a worker to its first ready.",
      [],
      [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 7_200],
    ),
    readyNotify: metrics.histogram(
      "queen_ready_notify_seconds",
      "From a worker's ready at its hive to its effect at the queen.",
      [],
      [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    ),
    fallbackPolls: metrics.counter(
      "queen_ready_fallback_polls_total",
      "Requests sent by the queen to learn that a worker is ready; 0 in a healthy run.",
    ),
    callbacks: metrics.counter("queen_callbacks_total", "Callbacks of hives by message and outcome.", ["message", "outcome"]),
  };
}
