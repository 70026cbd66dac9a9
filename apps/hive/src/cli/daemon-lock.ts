import { readdirSync, readFileSync, statSync } from "node:fs";
import { COMMAND_EXIT, QhError } from "@queen-and-hive/protocol";
import type { Environment } from "../config-environment.ts";
import { findProgram } from "../runtimes/find-program.ts";

/**
 * Whether this very process holds the lock: one of its open descriptors is the lock file, and the kernel says in its fdinfo
 * (proc_pid_fdinfo(5)) that an exclusive flock stands on it. Nothing that a caller could claim is trusted.
 */
export function holdsLock(path: string): boolean {
  return isHeldBy("self", path);
}

/**
 * The pid of the process that holds the lock: a daemon, also one that has not said yet who it is; null when it is free. It is
 * read from the kernel's own list (proc_locks(5)), since to try the lock would take it from a daemon that is just starting.
 */
export function lockHolder(path: string): number | null {
  const pids = [...readFileSync("/proc/locks", "utf8").matchAll(FLOCKS)].map(([, pid = ""]) => pid);
  const holder = pids.find((pid) => isHeldBy(pid, path));
  return holder === undefined ? null : Number(holder);
}

/** The words that run a command under the daemon's lock, in the same process, or end at once with 75 when it is taken. */
export function underLock(path: string, command: readonly string[]): readonly [string, ...string[]] {
  return ["flock", "-n", "-F", "-E", String(COMMAND_EXIT.lockTaken), path, ...command];
}

/**
 * Turns this process into the same command under the lock: same pid, so that signals, a terminal and systemd notice nothing.
 * Does not return. Throws `spawn_failed`.
 */
export function becomeLocked(path: string, command: readonly string[], env: Environment): never {
  const flock = findProgram("flock", env["PATH"] ?? "");
  if (flock === null || process.execve === undefined) {
    throw new QhError("spawn_failed", `cannot take ${path}: there is no flock command on PATH; install util-linux`);
  }
  return process.execve(flock, [...underLock(path, command)], definedOnly(env));
}

/** A device and an inode are there too, but not as stat(2) tells them on every file system. */
const FLOCKS = /^\d+: FLOCK\s+ADVISORY\s+WRITE\s+(\d+) /gm;
const EXCLUSIVE = /^lock:.*FLOCK\s+ADVISORY\s+WRITE/m;

function isHeldBy(pid: string, path: string): boolean {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return false;
  return descriptorsOf(pid).some((name) => {
    try {
      const open = statSync(`/proc/${pid}/fd/${name}`);
      return (
        open.ino === file.ino && open.dev === file.dev && EXCLUSIVE.test(readFileSync(`/proc/${pid}/fdinfo/${name}`, "utf8"))
      );
    } catch {
      // It is closed by now, as that of this very listing.
      return false;
    }
  });
}

/** None of a process that has just ended or is somebody else's. */
function descriptorsOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
