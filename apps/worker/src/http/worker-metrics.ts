import type { CounterMetric, HistogramMetric, Metrics } from "@queen-and-hive/daemon";

/** How a request ended. */
type RequestOutcome = "completed" | "failed" | "cancelled";

/** The metrics of this worker; `worker_slots_busy` and `worker_requests_waiting` are read at each scrape. */
export interface WorkerMetrics {
  readonly requests: CounterMetric<"route" | "outcome">;
  readonly promptTokens: CounterMetric<never>;
  readonly completionTokens: CounterMetric<never>;
  /** Seconds from the arrival of a request to the first piece of its text. */
  readonly firstPiece: HistogramMetric<never>;
  /** Requests whose clients left before the end. */
  cancelled(): number;
  /** Counts the end of a request. */
  ended(route: string, outcome: RequestOutcome): void;
}

/** Registers the metrics. */
export function createWorkerMetrics(
  metrics: Metrics,
  load: () => { readonly busy: number; readonly waiting: number },
): WorkerMetrics {
  const requests = metrics.counter("worker_requests_total", "Requests that ended, by route and outcome", ["route", "outcome"]);
  metrics.gauge("worker_slots_busy", "Slots in use", [], (gauge) => gauge.set(load().busy));
  metrics.gauge("worker_requests_waiting", "Requests that wait for a slot", [], (gauge) => gauge.set(load().waiting));
  let cancelled = 0;
  return {
    requests,
    promptTokens: metrics.counter("worker_prompt_tokens_total", "Tokens of prompts"),
    completionTokens: metrics.counter("worker_completion_tokens_total", "Tokens that were generated"),
    firstPiece: metrics.histogram("worker_time_to_first_token_seconds", "Arrival of a request to the first piece of its text"),
    cancelled: () => cancelled,
    ended: (route, outcome) => {
      if (outcome === "cancelled") cancelled += 1;
      requests.inc({ route, outcome });
    },
  };
}
