import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import type { Capabilities } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config.ts";
import type { Device } from "./device.ts";
import type { Devices } from "./devices.ts";
import { findRuntimes, type RuntimesQuestion } from "./find-runtimes.ts";

/** What is asked about this machine. */
export interface CapabilitiesQuestion extends Omit<RuntimesQuestion, "bins"> {
  readonly settings: Pick<HiveSettings, "hiveId" | "modelsDir" | "runtimes">;
  /** Disk space is looked up where models lie, else here. */
  readonly stateDir: string;
  readonly devices: Devices;
}

/** `GET /v1/capabilities`: this machine as it is now. A machine without GPUs has the one device `cpu`. */
export async function capabilitiesOf(question: CapabilitiesQuestion): Promise<Capabilities> {
  const { settings, version, stateDir } = question;
  const [{ devices }, runtimes] = await Promise.all([
    question.devices.read(),
    findRuntimes({ ...question, bins: settings.runtimes }),
  ]);
  return {
    hive_id: settings.hiveId,
    version,
    os: process.platform,
    arch: process.arch,
    cpus: availableParallelism(),
    memory_total_bytes: totalmem(),
    memory_free_bytes: freemem(),
    disk_free_bytes: (await freeBytes(settings.modelsDir)) ?? (await freeBytes(stateDir)),
    devices: devices.map(shownDevice),
    runtimes: [...runtimes],
  };
}

function shownDevice({ id, kind, name, memoryTotalBytes, memoryUsedBytes }: Device): Capabilities["devices"][number] {
  const free = memoryTotalBytes === null || memoryUsedBytes === null ? null : Math.max(0, memoryTotalBytes - memoryUsedBytes);
  return { id, kind, name, memory_total_bytes: memoryTotalBytes, memory_free_bytes: free };
}

async function freeBytes(path: string | null): Promise<number | null> {
  if (path === null) return null;
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    // A models directory that is not mounted now has no space to tell of.
    return null;
  }
}
