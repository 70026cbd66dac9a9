import type { Device, DeviceUse } from "./device.ts";

/** The arguments of `nvidia-smi` that `parseNvidiaDevices` reads the output of (nvidia-smi --help-query-gpu). */
export const NVIDIA_DEVICES_QUERY: readonly string[] = [
  "--query-gpu=uuid,name,memory.total,memory.used,utilization.gpu",
  "--format=csv,noheader,nounits",
];

/** The arguments of `nvidia-smi` that `parseNvidiaUses` reads the output of (nvidia-smi --help-query-compute-apps). */
export const NVIDIA_USES_QUERY: readonly string[] = [
  "--query-compute-apps=pid,gpu_uuid,used_memory",
  "--format=csv,noheader,nounits",
];

/** One line per GPU: `GPU-..., NVIDIA GeForce RTX 4090, 24564, 428, 7`; memory in MiB. A line that is none is left out. */
export function parseNvidiaDevices(text: string): readonly Device[] {
  return cells(text).flatMap(([id = "", name = "", total = "", used = "", utilization = ""]) =>
    id.startsWith("GPU-")
      ? [
          {
            id,
            kind: "cuda" as const,
            name,
            memoryTotalBytes: mebibytes(total),
            memoryUsedBytes: mebibytes(used),
            utilizationRatio: percent(utilization),
          },
        ]
      : [],
  );
}

/** One line per process and GPU: `4711, GPU-..., 20480`. Where the driver hides a process's memory, its line is left out. */
export function parseNvidiaUses(text: string): readonly DeviceUse[] {
  return cells(text).flatMap(([pid = "", deviceId = "", used = ""]) => {
    const bytes = mebibytes(used);
    return /^[0-9]+$/.test(pid) && bytes !== null ? [{ pid: Number(pid), deviceId, bytes }] : [];
  });
}

function cells(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.split(",").map((cell) => cell.trim()));
}

/** `[N/A]`, `[Not Supported]` and `[Unknown Error]` are nothing. */
function mebibytes(text: string): number | null {
  return /^[0-9]+$/.test(text) ? Number(text) * 1024 * 1024 : null;
}

function percent(text: string): number | null {
  return /^[0-9]+$/.test(text) ? Number(text) / 100 : null;
}
