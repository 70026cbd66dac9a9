import type { Clock, Metrics } from "@queen-and-hive/daemon";
import type { Supervision } from "../workers/supervision.ts";

/** The hive and its workers in numbers, looked up at each scrape. */
export function observeHive(metrics: Metrics, supervision: Pick<Supervision, "list">, clock: Clock): void {
  const startedMs = clock.monotonicMs();
  metrics.observeDefaultProcessMetrics();
  metrics.gauge("hive_uptime_seconds", "How long this daemon has run.", [], (gauge) =>
    gauge.set((clock.monotonicMs() - startedMs) / 1_000),
  );
  metrics.gauge("hive_workers", "Workers that this hive keeps.", ["state", "model"], (gauge) => {
    gauge.reset();
    for (const { state, model } of supervision.list()) gauge.inc({ state, model });
  });
  metrics.gauge("hive_process_cpu_ratio", "CPU time per time of a worker's process; 1 is one core.", ["worker"], (gauge) => {
    gauge.reset();
    for (const { worker_id, cpu_ratio } of supervision.list())
      if (cpu_ratio !== undefined) gauge.set({ worker: worker_id }, cpu_ratio);
  });
  metrics.gauge("hive_process_resident_bytes", "Resident memory of a worker's process.", ["worker"], (gauge) => {
    gauge.reset();
    for (const { worker_id, resident_bytes } of supervision.list()) {
      if (resident_bytes !== undefined) gauge.set({ worker: worker_id }, resident_bytes);
    }
  });
}
