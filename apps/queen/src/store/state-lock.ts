import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type Clock, Deadline, errorCodeOf, isProcessAlive, systemClock } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, QhError } from "@queen-and-hive/protocol";
import { readQueenIdentity } from "./queen-identity.ts";

/** The lock of a state directory; the kernel frees it when this process ends, however it ends. */
export interface StateLock extends AsyncDisposable {
  /** Resolves when the lock was lost although nobody released it (its holder was killed): this queen must end then. */
  readonly lost: Promise<void>;
}

/** How long a start waits for the lock of a queen that has just ended, or has just begun and not yet said who it is. */
const SETTLE_MS = 2_000;
const TRY_EVERY_MS = 50;

/**
 * Takes `state_dir/daemon.lock` through a `flock` child that lives exactly as long as we hold its standard input. Throws
 * `already_running` naming pid and address of the queen that runs, or `storage_failed`.
 */
export async function takeStateLock(stateDir: string, clock: Clock = systemClock): Promise<StateLock> {
  const settle = Deadline.in(SETTLE_MS, clock);
  for (;;) {
    const lock = await tryLock(join(stateDir, "daemon.lock"));
    if (lock !== null) return lock;
    const running = readQueenIdentity(stateDir);
    const isKnown = running !== null && isProcessAlive(running);
    if (isKnown || settle.expired) {
      const who = isKnown ? `: pid ${running.pid}${running.url === null ? "" : ` at ${running.url}`}` : "";
      throw new QhError(
        "already_running",
        `cannot start: a queen already runs on ${stateDir}${who}; stop it with "queen down" or choose another state_dir`,
        isKnown ? { details: { pid: running.pid, url: running.url, queen_id: running.queen_id } } : {},
      );
    }
    await clock.sleep(TRY_EVERY_MS);
  }
}

async function tryLock(path: string): Promise<StateLock | null> {
  const args = ["-n", "-F", "-E", String(COMMAND_EXIT.lockTaken), path, "cat"];
  // A session of its own: a Ctrl-C in our terminal must not take the lock away while we still stop things.
  const child = spawn("flock", args, { stdio: ["pipe", "pipe", "ignore"], detached: true });
  child.stdin.on("error", () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("exit", (code) => resolve(code));
    child.once("error", (cause) => reject(lockFailed(path, cause)));
  });
  child.stdin.write("held\n");
  const echoed = once(child.stdout, "data").then(() => "held" as const);
  echoed.catch(() => undefined);
  const outcome = await Promise.race([echoed, ended]);
  if (outcome === COMMAND_EXIT.lockTaken) return null;
  if (outcome !== "held") throw lockFailed(path, new Error(`flock ended with code ${outcome ?? "none"}`));
  child.unref();
  let released = false;
  const lost = ended.then(() => (released ? new Promise<void>(() => undefined) : undefined));
  return {
    lost,
    async [Symbol.asyncDispose]() {
      released = true;
      // A command may have nothing else to wait for, and would end without a word.
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}

function lockFailed(path: string, cause: Error): QhError {
  const why = errorCodeOf(cause) === "ENOENT" ? "the program flock is missing; install util-linux" : cause.message;
  return new QhError("storage_failed", `cannot lock ${path}: ${why}`, { cause });
}
