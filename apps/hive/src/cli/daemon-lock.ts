import { spawnSync } from "node:child_process";
import { fstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { COMMAND_EXIT, QhError } from "@queen-and-hive/protocol";
import type { Environment } from "../config-environment.ts";
import { findProgram } from "../runtimes/find-program.ts";
import { flockFailed } from "./start-lock.ts";

/**
 * Whether this very process holds the lock: one of its open descriptors is the lock file, and the kernel says in its fdinfo
 * (proc_pid_fdinfo(5)) that an exclusive flock stands on it. Nothing that a caller could claim is trusted.
 */
export function holdsLock(path: string): boolean {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return false;
  return readdirSync("/proc/self/fd").some((name) => {
    try {
      const open = fstatSync(Number(name));
      return open.ino === file.ino && open.dev === file.dev && EXCLUSIVE.test(readFileSync(`/proc/self/fdinfo/${name}`, "utf8"));
    } catch {
      // The descriptor of this very listing is gone by now.
      return false;
    }
  });
}

/** Whether somebody holds the lock: a daemon, also one that has not said yet who it is. Throws `spawn_failed` without `flock`. */
export function isLocked(path: string): boolean {
  const { status, error } = spawnSync("flock", ["-n", "-E", String(COMMAND_EXIT.lockTaken), path, "true"]);
  if (error !== undefined) throw flockFailed(path, error);
  return status === COMMAND_EXIT.lockTaken;
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

const EXCLUSIVE = /^lock:.*FLOCK\s+ADVISORY\s+WRITE/m;

function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
