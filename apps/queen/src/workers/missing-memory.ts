import type { QhError } from "@queen-and-hive/protocol";
import type { MissingMemory } from "../domain/eviction.ts";

/** So many devices a machine may have. */
const DEVICES_MAX = 64;

/** The memory that a hive lacks for a worker that it has refused, as far as it has said so. */
export function missingMemoryOf({ details }: QhError): MissingMemory | null {
  const { devices_wanted: devices, missing_bytes: missing, needed_bytes: needed, free_bytes: free } = details ?? {};
  if (Number.isInteger(devices) && typeof missing === "object" && missing !== null) {
    const onEach = Object.entries(missing).map(([device, bytes]) => ({ device, bytes: Number(bytes) }));
    const areBytes = onEach.every(({ bytes }) => Number.isFinite(bytes) && bytes >= 0);
    const wanted = Number(devices);
    if (areBytes && wanted >= 1 && wanted <= onEach.length && onEach.length <= DEVICES_MAX) return { devices: wanted, onEach };
  }
  // A hive that does not tell its devices apart.
  if (typeof needed !== "number" || typeof free !== "number") return null;
  return { devices: 1, onEach: [{ device: null, bytes: Math.max(0, needed - free) }] };
}
