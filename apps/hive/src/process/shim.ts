import { closeSync, openSync } from "node:fs";
import { Readable } from "node:stream";
import { type Clock, Deadline, readProcessIdentity } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { execa } from "execa";
import type { WorkerProcess } from "../domain/worker-states.ts";

/** What a worker is launched from. */
export interface LaunchOrder {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Its output goes there, appended. */
  readonly logPath: string;
  /** The FIFO whose write end the shim holds for its whole life. */
  readonly alivePath: string;
  /** Where the shim leaves the exit status. */
  readonly exitPath: string;
  /** Where the kernel counts its kills for lack of memory, and where the shim leaves that count when the engine was killed. */
  readonly vmstatPath: string;
  readonly oomKillsPath: string;
}

/** A process that stands ready to become the engine: known by identity, and not yet running anything. */
export interface HeldProcess {
  readonly process: WorkerProcess;
  /** Lets it become the engine. */
  release(): void;
  /** Lets it end without ever having become the engine. */
  abort(): void;
  /** Resolves when the shim has ended. */
  readonly ended: Promise<void>;
}

/**
 * The shim: leads the worker's session and group, survives what the group is sent, writes to the log by a descriptor of
 * its own (so that nobody's death closes it), holds the FIFO, waits for the engine
 * and leaves its exit status (128 + n for signal n), and after a KILL first the kernel's count of kills for lack of memory,
 * since whoever reads the status much later must not count what came meanwhile. The inner shell says its pid and becomes the
 * engine only when told, so that no engine ever runs that is not in the ledger; when we die before that, it reads end of
 * file, says that there never was an engine whose exit status could be told, and ends.
 */
const SHIM = `trap : HUP INT QUIT TERM; exec >>"$1" 2>&1
mkfifo -m 600 "$2" 2>/dev/null; [ -p "$2" ] && exec 4<>"$2"
status=$3; vmstat=$4; kills=$5; shift 5
sh -c 'echo $$ >&3; status=$1; shift; read -r go || { echo never begun >"$status"; exit; }; exec "$@" </dev/null 3>&- 4>&-' "$0" "$status" "$@"
code=$? said=; [ -f "$status" ] && read -r said <"$status"
[ $code = 137 ] && while read -r name count; do [ "$name" = oom_kill ] && echo "$name $count"; done <"$vmstat" >"$kills" 2>/dev/null
[ "$said" = "never begun" ] || echo $code >"$status"`;

/** How long a shim may take to write the status down and end, once its engine has ended. */
export const SHIM_END_MS = 2_000;

/** Starts a worker's process and holds it. Throws `spawn_failed`. */
export async function holdProcess(order: LaunchOrder, clock: Clock): Promise<HeldProcess> {
  closeSync(openSync(order.logPath, "a", LOG_MODE));
  const child = startShim(order);
  const ended = child.then(
    () => undefined,
    () => undefined,
  );
  const pipe = child.nodeChildProcess.stdio[3];
  if (!(pipe instanceof Readable)) throw new Error("the shim has no pipe on descriptor 3");
  try {
    const enginePid = await readPid(pipe, ended, clock);
    const shim = child.pid === undefined ? null : readProcessIdentity(child.pid);
    const engine = readProcessIdentity(enginePid);
    if (shim === null || engine === null) throw spawnFailed(order, "its process ended before it was told to begin");
    child.nodeChildProcess.unref();
    return {
      process: { engine, shim },
      release: () => void child.stdin.end("go\n", () => child.stdin.destroy()),
      abort: () => void child.stdin.destroy(),
      ended,
    };
  } catch (cause) {
    child.stdin.destroy();
    throw cause instanceof QhError ? cause : spawnFailed(order, String(cause), cause);
  } finally {
    pipe.destroy();
  }
}

/** How long a shell may take to say its pid: milliseconds in a healthy machine, more in one that swaps. */
const HOLD_MS = 20_000;
const LOG_MODE = 0o600;

function startShim(order: LaunchOrder) {
  const child = execa("/bin/sh", ["-c", SHIM, "hive-worker", ...placesOf(order), ...order.argv], {
    cwd: order.cwd,
    env: order.environment,
    extendEnv: false,
    detached: true,
    cleanup: false,
    buffer: false,
    reject: false,
    stdio: ["pipe", "ignore", "ignore", "pipe"],
  });
  // The shim may end before we have written; the identity tells that, not the pipe.
  child.stdin.on("error", () => undefined);
  return child;
}

/** What the shim knows as $1 to $5. */
function placesOf({ logPath, alivePath, exitPath, vmstatPath, oomKillsPath }: LaunchOrder): readonly string[] {
  return [logPath, alivePath, exitPath, vmstatPath, oomKillsPath];
}

async function readPid(pipe: Readable, ended: Promise<void>, clock: Clock): Promise<number> {
  using signal = Deadline.in(HOLD_MS, clock).signal();
  const line = new Promise<string>((resolve, reject) => {
    let text = "";
    pipe.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("\n")) resolve(text);
    });
    pipe.on("error", () => undefined);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  const early = ended.then(() => "");
  const pid = Number((await Promise.race([line, early])).trim());
  if (!Number.isSafeInteger(pid) || pid < 1) throw new Error("the shell ended without a word");
  return pid;
}

function spawnFailed(order: LaunchOrder, why: string, cause?: unknown): QhError {
  return new QhError("spawn_failed", `cannot start ${order.argv[0]}: ${why}; look at ${order.logPath}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { cause: "unknown" },
  });
}
