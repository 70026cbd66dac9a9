import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "@queen-and-hive/daemon";
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

  constructor(stateId: string, log: Pick<Log, "debug">, parent: string | null = ownCgroup()) {
    this.#parent = parent;
    this.#prefix = `hive-${stateId}-`;
    this.#log = log;
  }

  /** Moves a process that stands still into the cgroup of its worker; true when it is there. */
  hold(workerId: string, pid: number): boolean {
    const dir = this.#dirOf(workerId);
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

  /** The worker that each process in one of our cgroups belongs to. */
  members(): ReadonlyMap<number, string> {
    const members = new Map<number, string>();
    for (const workerId of this.#workerIds()) for (const pid of this.#pidsOf(workerId)) members.set(pid, workerId);
    return members;
  }

  /** Kills whatever is in the worker's cgroup, and what it is forking right now; false where there is none. */
  kill(workerId: string): boolean {
    const dir = this.#dirOf(workerId);
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
    const dir = this.#dirOf(workerId);
    if (dir !== null) removeEmpty(dir);
  }

  /** Removes every cgroup of ours that is empty: what a daemon left that was killed. */
  removeStrays(): void {
    for (const workerId of this.#workerIds()) this.remove(workerId);
  }

  #dirOf(workerId: string): string | null {
    return this.#parent === null ? null : join(this.#parent, `${this.#prefix}${workerId}`);
  }

  #workerIds(): readonly string[] {
    if (this.#parent === null) return [];
    try {
      return readdirSync(this.#parent)
        .filter((name) => name.startsWith(this.#prefix))
        .map((name) => name.slice(this.#prefix.length));
    } catch {
      return [];
    }
  }

  #pidsOf(workerId: string): readonly number[] {
    const dir = this.#dirOf(workerId);
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
