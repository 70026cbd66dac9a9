import { Deadline } from "@queen-and-hive/daemon";
import type { WorkerContext } from "./worker-context.ts";

/** Memory in use on some devices, by whomever. */
export interface DeviceMemory {
  readonly usedBytes: number;
}

/**
 * Waits until the memory of a worker's devices is back after its end: drivers give it back 0.5 to 1.5 s later. It is back
 * once less is in use than before and nothing more comes. False when the time was over first.
 */
export async function waitForDeviceMemory(
  { options }: WorkerContext,
  devices: readonly string[],
  before: DeviceMemory,
  deadline: Deadline,
): Promise<boolean> {
  const { clock, deviceMemory } = options;
  const end = Deadline.in(MEMORY_BACK_MS, clock).min(deadline);
  let last = before.usedBytes;
  while (!end.expired) {
    const now = await deviceMemory?.(devices);
    // A tool that does not answer any more tells nothing; the processes are gone, which counts.
    if (now === undefined || now === null) return false;
    if (now.usedBytes < before.usedBytes && now.usedBytes >= last) return true;
    last = now.usedBytes;
    await clock.sleep(PAUSE_MS);
  }
  return false;
}

const MEMORY_BACK_MS = 3_000;
const PAUSE_MS = 200;
