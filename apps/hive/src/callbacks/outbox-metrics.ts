import type { CounterMetric, GaugeMetric, HistogramMetric, Metrics } from "@queen-and-hive/daemon";
import type { Verdict } from "./delivery-lane.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** The outbox in numbers. */
export class OutboxMetrics {
  readonly #readyCallbacks: CounterMetric<"outcome">;
  readonly #deliverySeconds: HistogramMetric<never>;
  readonly #alarm: GaugeMetric<never>;

  /** `waiting` is asked at each scrape. */
  constructor(metrics: Metrics, waiting: () => number) {
    this.#readyCallbacks = metrics.counter(
      "hive_ready_callbacks_total",
      "Tries to tell the queen that a worker is ready, by outcome.",
      ["outcome"],
    );
    this.#deliverySeconds = metrics.histogram(
      "hive_callback_delivery_seconds",
      "Time from a message's entry into the outbox to the queen's acknowledgement.",
    );
    this.#alarm = metrics.gauge("hive_callback_token_refused", "1 while the queen refuses this hive's token, else 0.");
    metrics.gauge("hive_outbox_entries", "Messages that wait for the queen.", [], (gauge) => gauge.set(waiting()));
  }

  /** Counts one try; `nowMs` is Unix time. */
  tried(entry: OutboxEntry, verdict: Verdict, nowMs: number): void {
    if (entry.message.kind === "worker_ready") this.#readyCallbacks.inc({ outcome: verdict });
    if (verdict === "delivered") this.#deliverySeconds.observe(Math.max(0, nowMs - entry.created_at_ms) / 1_000);
  }

  /** Says whether the queen refuses our token now. */
  alarm(on: boolean): void {
    this.#alarm.set(on ? 1 : 0);
  }
}
