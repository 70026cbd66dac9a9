import { Duplex } from "node:stream";
import { errorCodeOf } from "@queen-and-hive/daemon";
import { execa } from "execa";

/** How much a proxy may say on its standard error, bytes. */
const SAID_BYTES_MAX = 4_096;
/** How long a proxy gets after TERM before KILL, milliseconds. */
const FORCE_KILL_AFTER_MS = 1_000;
/** Proxies that run. One of them may ignore the end of its input and outlive us. */
const running = new Set<number>();
let endsWithUs = false;

/** A program whose standard streams are the connection, as OpenSSH's ProxyCommand has it. */
export interface SshProxy {
  readonly stream: Duplex;
  /** What it has said on its standard error so far. */
  said(): string;
}

/** Starts it; it ends with the stream, and with this process at the latest. */
export function startSshProxy([file, ...args]: readonly [string, ...string[]]): SshProxy {
  const child = execa(file, args, {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    buffer: false,
    encoding: "buffer",
    reject: false,
    // A Ctrl-C in our terminal is ours to handle; a group of its own lets all of it be ended.
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) guard(pid);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (said.length < SAID_BYTES_MAX) said += text;
  });
  child.nodeChildProcess.once("exit", () => pid !== undefined && running.delete(pid));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  stream.on("error", () => undefined).on("close", () => pid !== undefined && end(pid));
  child.then(
    () => stream.destroy(),
    () => stream.destroy(),
  );
  return { stream, said: () => said.trim().split("\n").slice(-3).join(" | ") };
}

function guard(pid: number): void {
  running.add(pid);
  if (endsWithUs) return;
  endsWithUs = true;
  process.on("exit", () => {
    for (const one of running) signalGroup(one, "SIGKILL");
  });
}

function end(pid: number): void {
  signalGroup(pid, "SIGTERM");
  setTimeout(() => signalGroup(pid, "SIGKILL"), FORCE_KILL_AFTER_MS).unref();
}

/** Signals a proxy and whatever it has started, as long as it runs itself: afterwards its number may be somebody else's. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (!running.has(pid)) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (errorCodeOf(error) !== "ESRCH") throw error;
  }
}
