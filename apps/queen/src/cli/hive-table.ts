import { formatDurationMs, type HiveRecord } from "@queen-and-hive/protocol";
import { formatTable } from "./table.ts";

const HEADING = ["HIVE", "STATE", "AGE", "PID", "VERSION", "WORKERS", "DEVICES"];
const ERROR_HEADING = "LAST ERROR";

/**
 * Hives as a table for people. The last error is its last column where every line then fits into the terminal, else it
 * follows below, whole: it says what to do.
 */
export function formatHives(hives: readonly HiveRecord[], nowMs: number, columns: number): string {
  const rows = hives.map((hive) => [
    hive.hive_id,
    stateOf(hive),
    formatDurationMs(Math.max(0, nowMs - Date.parse(hive.since))),
    hive.pid === null ? "-" : String(hive.pid),
    hive.version ?? "-",
    String(hive.workers),
    devicesOf(hive),
  ]);
  const failing = hives.filter((hive) => hive.last_error !== undefined);
  if (failing.length === 0) return formatTable([HEADING, ...rows]);
  const wide = formatTable([[...HEADING, ERROR_HEADING], ...rows.map((row, at) => [...row, hives[at]?.last_error ?? ""])]);
  if (wide.split("\n").every((line) => line.length <= columns)) return wide;
  const errors = failing.map((hive) => `${hive.hive_id}: ${hive.last_error}`);
  return [formatTable([HEADING, ...rows]), "", ...errors].join("\n");
}

/** The state with what is being done, or who wants it so. */
export function stateOf(hive: HiveRecord): string {
  if (hive.progress !== undefined) return `${hive.state} (${hive.progress})`;
  return hive.stopped_by === undefined ? hive.state : `${hive.state} (by ${hive.stopped_by})`;
}

/** Devices of one name together: `2x NVIDIA GeForce RTX 4090`. */
function devicesOf({ devices }: HiveRecord): string {
  if (devices === undefined || devices.length === 0) return "-";
  const counts = new Map<string, number>();
  for (const { kind, name } of devices) {
    // A processor's name is long and says little about what its models can do.
    const shown = kind === "cpu" ? "cpu" : name;
    counts.set(shown, (counts.get(shown) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => (count === 1 ? name : `${count}x ${name}`)).join(", ");
}
