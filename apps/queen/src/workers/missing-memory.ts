import type { QhError } from "@queen-and-hive/protocol";
import type { MissingMemory } from "../domain/eviction.ts";

/** The memory that a hive lacks for a worker that it has refused, as far as it has said so. */
export function missingMemoryOf({ details }: QhError): MissingMemory | null {
  const { devices_wanted: devices, missing_bytes: missing, needed_bytes: needed, free_bytes: free } = details ?? {};
  if (typeof devices === "number" && typeof missing === "object" && missing !== null) {
    const onEach = Object.entries(missing).flatMap(([device, bytes]) => (typeof bytes === "number" ? [{ device, bytes }] : []));
    if (onEach.length >= devices) return { devices, onEach };
  }
  // One of before devices were told apart.
  if (typeof needed !== "number" || typeof free !== "number") return null;
  return { devices: 1, onEach: [{ device: null, bytes: Math.max(0, needed - free) }] };
}
