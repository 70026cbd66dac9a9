/** How many processes the kernel has killed for lack of memory. Null: it does not say. */
export interface OomKills {
  /** On the whole machine, since boot. */
  readonly machine: number | null;
  /** Among the worker's own processes, wherever the memory was short. */
  readonly worker: number | null;
}

/**
 * What two readings prove about an end between them: `worker`, a process of it was killed for lack of memory; `machine`, some
 * process of the machine was, and nobody can tell whose it was; `none`, nothing points there.
 */
export type OomEvidence = "worker" | "machine" | "none";

/** The worker's own count is the truth where there is one; the machine's is asked only where there is none. */
export function oomEvidence(before: OomKills | null, after: OomKills): OomEvidence {
  if (before === null) return "none";
  if (before.worker !== null && after.worker !== null) return after.worker > before.worker ? "worker" : "none";
  return before.machine !== null && after.machine !== null && after.machine > before.machine ? "machine" : "none";
}

/** `oom_kill` in the text of `/proc/vmstat` (proc_vmstat(5)) or of a cgroup's `memory.events` (cgroups(7)); null without one. */
export function oomKillsIn(text: string): number | null {
  const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? null : Number(count);
}
