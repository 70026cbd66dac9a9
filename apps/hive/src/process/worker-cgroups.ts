import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Log } from "@queen-and-hive/daemon";
import { readOomKills } from "./oom-watch.ts";
import { readText } from "./read-text.ts";

/**
 * One cgroup (v2) per worker, where this machine lets us have them: nothing that a worker starts can leave it, whatever
 * session, environment or directory it goes to, and all in it can be killed at once (cgroup.kill, Linux 5.14). Everything
 * here is a help beside the other marks: without a cgroup v2 of our own it finds and kills nothing.
 */
export class WorkerCgroups {
  /** Where ours lie; null when we cannot have any. */
  readonly #parent: string | null;
  readonly #prefix: string;
  readonly #log: Pick<Log, "debug">;
  /** Of workers that got theirs from an earlier daemon, which may have lived in another cgroup than we do. */
  readonly #elsewhere = new Map<string, string>();

  constructor(stateId: string, log: Pick<Log, "debug">, parent: string | null = ownCgroup()) {
    this.#parent = parent;
    this.#prefix = `hive-${stateId}-`;
    this.#log = log;
  }

  /** Moves a process that stands still into the cgroup of its worker; true when it is there. */
  hold(workerId: string, pid: number): boolean {
    if (this.#elsewhere.has(workerId)) this.remove(workerId);
    this.#elsewhere.delete(workerId);
    const dir = this.dirOf(workerId);
    if (dir === null) return false;
    try {
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, "cgroup.procs"), `${pid}\n`);
      return true;
    } catch (error) {
      // Read-only in most containers, somebody else's without delegation.
      this.#log.debug("a worker gets no cgroup of its own", { error, worker_id: workerId });
      this.remove(workerId);
      return false;
    }
  }

  /** Takes over the cgroup that an earlier daemon made for a worker, wherever that daemon lived. */
  recall(workerId: string, dir: string): void {
    if (basename(dir) === `${this.#prefix}${workerId}`) this.#elsewhere.set(workerId, dir);
  }

  /** Where a worker's cgroup is, or would be; null when we cannot have any. */
  dirOf(workerId: string): string | null {
    const elsewhere = this.#elsewhere.get(workerId) ?? null;
    return elsewhere ?? (this.#parent === null ? null : join(this.#parent, `${this.#prefix}${workerId}`));
  }

  /**
   * How many of the worker's processes the kernel has killed for lack of memory, there or on the whole machine; null where it
   * does not count for this cgroup, as without a memory controller (cgroups(7), memory.events).
   */
  oomKills(workerId: string): number | null {
    const dir = this.dirOf(workerId);
    return dir === null ? null : readOomKills(join(dir, "memory.events"));
  }

  /** The worker that each process in one of our cgroups belongs to. */
  members(): ReadonlyMap<number, string> {
    const members = new Map<number, string>();
    for (const workerId of this.#workerIds()) for (const pid of this.#pidsOf(workerId)) members.set(pid, workerId);
    return members;
  }

  /** Kills whatever is in the worker's cgroup, and what it is forking right now; false where there is none. */
  kill(workerId: string): boolean {
    const dir = this.dirOf(workerId);
    if (dir === null) return false;
    try {
      writeFileSync(join(dir, "cgroup.kill"), "1");
      return true;
    } catch {
      // There is none, or the kernel is older: the other marks still find what is left.
      return false;
    }
  }

  /** Removes the worker's cgroup once it is empty. */
  remove(workerId: string): void {
    const dir = this.dirOf(workerId);
    if (dir !== null) removeEmpty(dir);
  }

  /**
   * Removes what a daemon left that was killed: every cgroup of ours that is empty and belongs to none of these workers, whose
   * own tell how they ended and are removed after that. Nobody else's is touched.
   */
  removeStrays(kept: ReadonlySet<string>): void {
    for (const workerId of this.#workerIds()) if (!kept.has(workerId)) this.remove(workerId);
  }

  #workerIds(): ReadonlySet<string> {
    const names = this.#parent === null ? [] : namesIn(this.#parent);
    const ours = names.filter((name) => name.startsWith(this.#prefix)).map((name) => name.slice(this.#prefix.length));
    return new Set([...ours, ...this.#elsewhere.keys()]);
  }

  #pidsOf(workerId: string): readonly number[] {
    const dir = this.dirOf(workerId);
    const text = dir === null ? null : readText(join(dir, "cgroup.procs"));
    return (text ?? "")
      .split("\n")
      .map(Number)
      .filter((pid) => pid > 0);
  }
}

/** The directory of the cgroup (v2) that this process is in, by mountinfo (proc_pid_mountinfo(5)); null where there is none. */
export function ownCgroup(): string | null {
  const path = /^0::(\/.*)$/m.exec(readText("/proc/self/cgroup") ?? "")?.[1];
  if (path === undefined) return null;
  for (const line of (readText("/proc/self/mountinfo") ?? "").split("\n")) {
    const [mount = "", source = ""] = line.split(" - ");
    const [, , , root = "", point = ""] = mount.split(" ");
    if (!source.startsWith("cgroup2 ")) continue;
    const below = root === "/" ? path : path.startsWith(root) ? path.slice(root.length) : null;
    if (below !== null) return join(point, below);
  }
  return null;
}

function removeEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // Not there, or not empty yet: looked at again at the next start of the daemon.
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
