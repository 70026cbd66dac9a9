import { connect, type Socket } from "node:net";
import { homedir } from "node:os";
import { Readable } from "node:stream";
import { errorCodeOf, isProcessAlive } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { execa } from "execa";
import { readMachineId } from "../config/machine-id.ts";
import { commandLabel } from "./command-label.ts";
import type { Argv, CommandEnd, ExecOptions, ForwardOptions, Host, HostAddress } from "./host.ts";
import { OutputTail } from "./output-tail.ts";
import { uploadFile } from "./upload-file.ts";

/** How long a command that we gave up gets after TERM before KILL, milliseconds. */
const FORCE_KILL_AFTER_MS = 1_000;
/** Exit codes of shells for what cannot be executed (POSIX, 2.8.2). */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** The queen's own machine: commands run as child processes. */
export function createLocalHost(): Host {
  return {
    name: "local",
    isLocal: true,
    exec: run,
    upload: (source, target, options) => uploadFile(run, source, target, options),
    forward: connectTo,
    facts: async () => ({ home: homedir(), uid: process.getuid?.() ?? 0, machineId: readMachineId() }),
    isAlive: (identity) => isProcessAlive(identity),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function run(argv: Argv, { deadline, input = "", signal: given }: ExecOptions): Promise<CommandEnd> {
  const [file, ...args] = argv;
  using signal = deadline.signal(given);
  const child = execa(file, args, {
    ...(input instanceof Readable ? { stdin: "pipe" as const } : { input }),
    reject: false,
    stripFinalNewline: false,
    cancelSignal: signal,
    forceKillAfterDelay: FORCE_KILL_AFTER_MS,
    buffer: false,
    // A Ctrl-C in our terminal is ours to handle: the command must not die of it half-way.
    detached: true,
  });
  const stdout = new OutputTail();
  const stderr = new OutputTail();
  child.stdout.on("data", (chunk: Buffer) => stdout.add(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.add(chunk));
  if (input instanceof Readable && child.stdin !== null) {
    // A command that ends without reading all of it is judged by how it ended.
    child.stdin.on("error", () => undefined);
    input.pipe(child.stdin);
  }
  const result = await Promise.race([child, aborted(signal)]);
  if (result === null || signal.aborted) {
    // What reads its input sees the end of it, and can tidy up before it is killed.
    child.stdin?.destroy();
    if (signal.reason instanceof QhError && signal.reason.kind !== "deadline_exceeded") throw signal.reason;
    if (given?.aborted === true) throw given.reason;
    throw new QhError("deadline_exceeded", `cannot finish "${commandLabel(argv)}" in time: it was ended`, {
      cause: signal.reason,
    });
  }
  if (result.exitCode === undefined && result.signal === undefined) {
    const code = errorCodeOf(result.cause);
    if (code === "ENOENT" || code === "EACCES") {
      return { stdout: "", stderr: result.originalMessage ?? code, exitCode: code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE };
    }
    const why = result.originalMessage ?? "it could not be started";
    throw new QhError("host_unreachable", `cannot run "${commandLabel(argv)}": ${why}`, { cause: result.cause });
  }
  return { stdout: stdout.text(), stderr: stderr.text(), exitCode: result.exitCode ?? null };
}

/** Resolves null once the signal is aborted: execa itself would wait for whoever still holds the command's output. */
function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}

async function connectTo({ host, port }: HostAddress, { deadline, signal: given }: ForwardOptions): Promise<Socket> {
  using signal = deadline.signal(given);
  const socket = connect({ host, port, noDelay: true });
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      socket.once("connect", resolve).once("error", (cause: Error) => {
        const why = errorCodeOf(cause) ?? cause.message;
        reject(new QhError("peer_unreachable", `cannot connect to ${host}:${port}: ${why}`, { cause }));
      });
    });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
