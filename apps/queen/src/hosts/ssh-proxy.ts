import { Duplex } from "node:stream";
import { execa } from "execa";

/** How much a proxy may say on its standard error, bytes. */
const SAID_BYTES_MAX = 4_096;

/** A program whose standard streams are the connection, as OpenSSH's ProxyCommand has it. */
export interface SshProxy {
  readonly stream: Duplex;
  /** What it has said on its standard error so far. */
  said(): string;
}

/** Starts it; it ends with the stream. */
export function startSshProxy([file, ...args]: readonly [string, ...string[]]): SshProxy {
  const child = execa(file, args, {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    buffer: false,
    encoding: "buffer",
    reject: false,
    // A Ctrl-C in our terminal is ours to handle.
    detached: true,
    cleanup: true,
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (said.length < SAID_BYTES_MAX) said += text;
  });
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  stream.on("error", () => undefined).on("close", () => child.kill("SIGTERM"));
  child.then(
    () => stream.destroy(),
    () => stream.destroy(),
  );
  return { stream, said: () => said.trim().split("\n").slice(-3).join(" | ") };
}
