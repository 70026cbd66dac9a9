import type { ProcessIdentity } from "@queen-and-hive/daemon";
import { type ProcessTable, treeOf } from "./process-table.ts";
import { readText } from "./read-text.ts";

/** What the processes of one worker have used so far. */
export interface TreeUse {
  /** Also of children that have ended, as far as somebody of the worker waited for them; else it falls when they end. */
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/**
 * CPU time and resident memory of what a shim leads, wherever it went: an engine's children work while it waits (compilers,
 * Ray's processes in sessions of their own), and what they did stays done when they end. Nothing when the shim is gone and
 * somebody else has its pid.
 */
export function useOfTree(table: ProcessTable, shim: Pick<ProcessIdentity, "pid" | "start_time">): TreeUse {
  let ticks = 0;
  let pages = 0;
  for (const pid of treeOf(table, shim)) {
    const stat = table.get(pid);
    if (stat === undefined) continue;
    ticks += stat.utime + stat.stime + stat.cutime + stat.cstime;
    pages += Number(readText(`/proc/${pid}/statm`)?.split(" ")[1] ?? 0);
  }
  return { cpuMs: ticks * TICK_MS, residentBytes: pages * PAGE_BYTES };
}

/** USER_HZ is 100 on every architecture that Node supports (proc_pid_stat(5)). */
const TICK_MS = 10;
/** Where pages are larger, memory looks smaller than it is: enough to see that it grows. */
const PAGE_BYTES = 4_096;
