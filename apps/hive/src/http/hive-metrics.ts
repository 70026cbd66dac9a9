import type { Clock, Metrics } from "@queen-and-hive/daemon";
import type { Device } from "../resources/device.ts";
import type { Devices } from "../resources/devices.ts";
import type { Supervision } from "../workers/supervision.ts";

/** The hive and its workers in numbers, looked up at each scrape. */
export function observeHive(
  metrics: Metrics,
  supervision: Pick<Supervision, "list">,
  devices: Pick<Devices, "latest">,
  clock: Clock,
): void {
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
  observeDevices(metrics, devices);
}

/** GPUs as they were last read; a number that the driver does not say has no series. */
function observeDevices(metrics: Metrics, devices: Pick<Devices, "latest">): void {
  const gauge = (name: string, help: string, of: (device: Device) => number | null): void => {
    metrics.gauge(name, help, ["device"], (series) => {
      series.reset();
      for (const device of devices.latest?.devices ?? []) {
        const value = device.kind === "cpu" ? null : of(device);
        if (value !== null) series.set({ device: device.id }, value);
      }
    });
  };
  gauge("hive_gpu_memory_total_bytes", "Memory of a GPU.", (device) => device.memoryTotalBytes);
  gauge("hive_gpu_memory_used_bytes", "Memory of a GPU that anybody uses.", (device) => device.memoryUsedBytes);
  gauge("hive_gpu_utilization_ratio", "How busy a GPU is; 1 is always.", (device) => device.utilizationRatio);
}
