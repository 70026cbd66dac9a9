import type { DeviceReading } from "../resources/devices.ts";

/** What the devices of a worker show of its work: engines that compile or compute there may use no CPU meanwhile. */
export interface DeviceSigns {
  /** Memory in use on them, by whomever. */
  readonly deviceBytes: number;
  /** Whether one of them computes. Another worker may be the reason: a busy device is never proof that one is dead. */
  readonly deviceIsBusy: boolean;
}

/** The signs of these devices in the newest reading; none without a reading, and none of the machine's own processor. */
export function deviceSignsOf(latest: DeviceReading | null, ids: readonly string[]): DeviceSigns {
  const named = (latest?.devices ?? []).filter(({ id, kind }) => kind !== "cpu" && ids.includes(id));
  return {
    deviceBytes: named.reduce((sum, { memoryUsedBytes }) => sum + (memoryUsedBytes ?? 0), 0),
    deviceIsBusy: named.some(({ utilizationRatio }) => (utilizationRatio ?? 0) >= BUSY_RATIO),
  };
}

/** Below that a device idles: drivers show a few percent for a desktop. */
const BUSY_RATIO = 0.05;
