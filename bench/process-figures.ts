import { readFileSync } from "node:fs";
import { readProcStat } from "@queen-and-hive/daemon";

/** Anonymous and resident memory of a process, from /proc/<pid>/smaps_rollup (kB there). */
export function memoryOf(pid: number): { readonly anonymousBytes: number; readonly residentBytes: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
  return { anonymousBytes: kib("Anonymous") * 1_024, residentBytes: kib("Rss") * 1_024 };
}

/** CPU time that a process has used so far, in milliseconds. */
export function cpuMsOf(pid: number): number {
  const stat = readProcStat(pid);
  if (stat === null) throw new Error(`cannot bench process ${pid}: it has ended`);
  return (stat.utime + stat.stime) * TICK_MS;
}

/** USER_HZ is 100 on every architecture that Node supports (proc_pid_stat(5)). */
const TICK_MS = 10;
