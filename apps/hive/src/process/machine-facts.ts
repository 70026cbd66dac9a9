import { readFileSync } from "node:fs";
import type { ProcessTable } from "./process-table.ts";

/** How many processes the kernel has killed for lack of memory since boot (proc_vmstat(5)); null when it does not say. */
export function readOomKills(): number | null {
  const match = /^oom_kill (\d+)$/m.exec(readText("/proc/vmstat") ?? "");
  return match?.[1] === undefined ? null : Number(match[1]);
}

/** What the processes of one session have used so far. */
export interface SessionUse {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** CPU time and resident memory of a session: an engine's children work while it waits. */
export function useOfSession(table: ProcessTable, session: number): SessionUse {
  let ticks = 0;
  let pages = 0;
  for (const [pid, stat] of table) {
    if (stat.session !== session) continue;
    ticks += stat.utime + stat.stime;
    pages += Number(readText(`/proc/${pid}/statm`)?.split(" ")[1] ?? 0);
  }
  return { cpuMs: ticks * TICK_MS, residentBytes: pages * PAGE_BYTES };
}

/** USER_HZ is 100 on every architecture that Node supports (proc_pid_stat(5)). */
const TICK_MS = 10;
/** Where pages are larger, memory looks smaller than it is: enough to see that it grows. */
const PAGE_BYTES = 4_096;

function readText(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
