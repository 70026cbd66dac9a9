import { readFileSync } from "node:fs";

/**
 * CPU time of a process and of its children that have ended, milliseconds: fields 14 to 17 of /proc/<pid>/stat, in ticks of
 * 10 ms (proc(5)).
 */
export function familyCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}
