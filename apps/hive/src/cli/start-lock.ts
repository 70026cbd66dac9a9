import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { Deadline } from "@queen-and-hive/daemon/basics";
import { COMMAND_EXIT, QhError } from "@queen-and-hive/protocol";

/** What `flock` says when the lock was not free in time. */
const TAKEN = COMMAND_EXIT.lockTaken;
/** Said by the child once it has the lock; then it waits for the end of our pipe. */
const HELD = "held\n";

/**
 * Takes a lock file for as long as the result is not disposed, waiting for it until the deadline. A `flock` child holds it
 * and ends with our end of its standard input, so that the lock is free after any death of ours.
 * Throws `deadline_exceeded` when another command keeps it, `spawn_failed` without `flock`.
 */
export async function takeLock(path: string, deadline: Deadline): Promise<AsyncDisposable> {
  const waitS = Math.max(0, Math.min(deadline.remainingMs(), WAIT_MS_MAX)) / 1_000;
  const child = spawn("flock", ["-w", waitS.toFixed(3), "-E", String(TAKEN), path, "sh", "-c", "echo held; read -r _ || :"]);
  child.stdin.on("error", () => undefined);
  await held(child, path);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

/** The longest wait for a lock, for a deadline that never ends. */
const WAIT_MS_MAX = 24 * 60 * 60 * 1_000;

function held(child: ChildProcessWithoutNullStreams, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    let complaint = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said === HELD) resolve();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    child.once("error", (cause: NodeJS.ErrnoException) => reject(flockFailed(path, cause)));
    child.once("close", (code) => {
      if (code === TAKEN)
        reject(new QhError("deadline_exceeded", `cannot take ${path} in time: another start or stop is at work; try again`));
      else reject(new QhError("spawn_failed", `cannot take ${path}: flock ended with ${code}: ${complaint.trim()}`));
    });
  });
}

/** Why `flock` itself could not be run. */
export function flockFailed(path: string, cause: NodeJS.ErrnoException): QhError {
  const why =
    cause.code === "ENOENT" ? "there is no flock command on PATH; install util-linux" : `flock cannot be run (${cause.code})`;
  return new QhError("spawn_failed", `cannot take ${path}: ${why}`, { cause });
}
