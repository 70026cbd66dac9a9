import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import type { Readable } from "node:stream";
import type { Deadline } from "@queen-and-hive/daemon/basics";
import { COMMAND_EXIT, type HiveIdentity, QhError, WORKER_ENV } from "@queen-and-hive/protocol";
import type { Environment } from "../config-environment.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { underLock } from "./daemon-lock.ts";
import { type Handshake, parseHandshake } from "./handshake.ts";
import { flockFailed } from "./start-lock.ts";

/** How a daemon is launched. */
export interface Launch {
  readonly paths: StatePaths;
  /** The words that run this program. */
  readonly command: readonly string[];
  readonly environment: Environment;
  readonly deadline: Deadline;
}

/** How a launch ended: the new daemon listens, or another one has the lock. */
export type LaunchOutcome = { readonly kind: "listening"; readonly identity: HiveIdentity } | { readonly kind: "lock_taken" };

const HANDSHAKE_FD = 3;
const HANDSHAKE_BYTES_MAX = 64 * 1024;
const LOG_TAIL_LINES = 20;
const OUTPUT_LOG_BYTES_MAX = 1024 * 1024;

/**
 * Runs `hive run` detached under the daemon's lock (own session, output to a file) and waits until it says that it listens.
 * Throws what the daemon itself says when it cannot start, `spawn_failed` with its last log lines when it says nothing, and
 * `start_timeout` at the deadline: then that daemon is killed, and what it had started is adopted by the next one.
 */
export async function launchDaemon(launch: Launch): Promise<LaunchOutcome> {
  const { paths } = launch;
  const from = startOfOutput(paths.outputLog);
  const child = spawnDetached(launch);
  using signal = launch.deadline.signal();
  const ended = endOf(child);
  const said = await Promise.race([handshakeOf(child), aborted(signal)]);
  child.unref();
  if (said === "too_late") {
    child.kill("SIGKILL");
    throw withLogTail(
      new QhError(
        "start_timeout",
        `cannot start the hive in ${paths.dir} in time: it did not say that it listens, and was killed`,
      ),
      paths,
      from,
    );
  }
  if (said?.kind === "listening") return said;
  if (said?.kind === "failed") throw withLogTail(said.error, paths, from);
  const end = await ended;
  if (end === COMMAND_EXIT.lockTaken) return { kind: "lock_taken" };
  if (end instanceof Error) throw flockFailed(paths.daemonLock, end);
  throw withLogTail(
    new QhError("spawn_failed", `cannot start the hive in ${paths.dir}: it ended with ${end} before it listened`),
    paths,
    from,
  );
}

function spawnDetached({ paths, command, environment }: Launch): ChildProcess {
  const output = openSync(paths.outputLog, "a", 0o600);
  try {
    const [program, ...args] = underLock(paths.daemonLock, [
      ...command,
      "run",
      "--state-dir",
      paths.dir,
      "--handshake-fd",
      String(HANDSHAKE_FD),
    ]);
    return spawn(program, args, {
      detached: true,
      cwd: "/",
      env: withoutWorkerVariables(environment),
      stdio: ["ignore", output, output, "pipe"],
    });
  } finally {
    closeSync(output);
  }
}

/** A hive that is started from inside a worker must not look like a process of that worker's hive. */
function withoutWorkerVariables(environment: Environment): Environment {
  const names: ReadonlySet<string> = new Set(Object.values(WORKER_ENV));
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !names.has(name)));
}

/** What the daemon says on its pipe; null when it ends without a word. */
async function handshakeOf(child: ChildProcess): Promise<Handshake | null> {
  const pipe = child.stdio[HANDSHAKE_FD];
  if (pipe === null || pipe === undefined || !("read" in pipe)) throw new Error("the hand-shake's pipe is missing");
  const input: Readable = pipe;
  let text = "";
  try {
    for await (const chunk of input.setEncoding("utf8")) {
      text += String(chunk);
      if (text.includes("\n") || text.length > HANDSHAKE_BYTES_MAX) break;
    }
  } catch {
    // A reset of the pipe is its end.
  }
  return parseHandshake(text);
}

function endOf(child: ChildProcess): Promise<number | NodeJS.Signals | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    child.once("error", resolve);
    child.once("exit", (code, signal) => resolve(code ?? signal ?? COMMAND_EXIT.failed));
  });
}

function aborted(signal: AbortSignal): Promise<"too_late"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("too_late");
    else signal.addEventListener("abort", () => resolve("too_late"), { once: true });
  });
}

/** Where the output of the next daemon begins; a file that has grown large makes room first. */
function startOfOutput(path: string): number {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes <= OUTPUT_LOG_BYTES_MAX) return bytes;
  renameSync(path, `${path}.1`);
  return 0;
}

function withLogTail(error: QhError, paths: StatePaths, from: number): QhError {
  const output = readFileSync(paths.outputLog).subarray(from).toString("utf8");
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return new QhError(error.kind, error.message, {
    ...(error.param === undefined ? {} : { param: error.param }),
    details: { ...error.details, log_tail: lines.slice(-LOG_TAIL_LINES), log_file: paths.log },
    cause: error,
  });
}
