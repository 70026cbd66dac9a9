import { readdirSync, readFileSync } from "node:fs";

/** Anonymous and resident memory of a process, from /proc/<pid>/smaps_rollup (kB there). */
export function memoryOf(pid: number): { readonly anonymousBytes: number; readonly residentBytes: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
  return { anonymousBytes: kib("Anonymous") * 1_024, residentBytes: kib("Rss") * 1_024 };
}

/**
 * CPU time that the live threads of a process have used so far, in milliseconds: the scheduler's own nanoseconds
 * (`/proc/<pid>/task/<tid>/schedstat`), since the ticks of `stat` are 10 ms.
 */
export function cpuMsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]) / 1e6,
    0,
  );
}
