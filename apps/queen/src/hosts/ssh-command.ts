import { Readable } from "node:stream";
import { QhError } from "@queen-and-hive/protocol";
import type { ClientChannel } from "ssh2";
import type { CommandEnd } from "./host.ts";
import { OutputTail } from "./output-tail.ts";

/** A command that runs on a channel. */
export interface RunningCommand {
  readonly input: string | Readable | undefined;
  /** Aborted at the deadline or when the caller has had enough. */
  readonly signal: AbortSignal;
  /** Aborted when the connection has ended. */
  readonly ended: AbortSignal;
  /** For messages. */
  readonly what: string;
}

/** Feeds a command and waits for its end. Throws `host_unreachable` when the connection ends first, and the signal's reason. */
export async function runOnChannel(channel: ClientChannel, { input, signal, ended, what }: RunningCommand): Promise<CommandEnd> {
  const stdout = new OutputTail();
  const stderr = new OutputTail();
  let exit: { readonly code: number | null } | null = null;
  channel.on("data", (chunk: Buffer) => stdout.add(chunk));
  channel.stderr.on("data", (chunk: Buffer) => stderr.add(chunk));
  channel.on("exit", (code: number | null) => {
    exit = { code };
  });
  // A command that ends without reading all of its input is judged by how it ended.
  channel.on("error", () => undefined);
  feed(channel, input);
  const either = AbortSignal.any([signal, ended]);
  await new Promise<void>((resolve) => {
    channel.once("close", resolve);
    either.addEventListener("abort", () => resolve(), { once: true });
    if (either.aborted) resolve();
  });
  if (exit !== null) return { stdout: stdout.text(), stderr: stderr.text(), ...asEnd(exit) };
  if (signal.aborted) {
    giveUp(channel);
    if (signal.reason instanceof QhError && signal.reason.kind === "deadline_exceeded") {
      throw new QhError("deadline_exceeded", `cannot finish ${what} in time: it was given up`, { cause: signal.reason });
    }
    throw signal.reason;
  }
  if (ended.aborted) throw ended.reason;
  throw new QhError("host_unreachable", `cannot say how ${what} ended: its SSH server did not tell`);
}

function asEnd({ code }: { readonly code: number | null }): { readonly exitCode: number | null } {
  return { exitCode: code };
}

function feed(channel: ClientChannel, input: string | Readable | undefined): void {
  if (input instanceof Readable) input.pipe(channel);
  else channel.end(input ?? "");
}

/** The server is told to end it; whatever it still says is not heard. */
function giveUp(channel: ClientChannel): void {
  try {
    channel.signal("TERM");
    channel.close();
  } catch {
    // The connection has ended, and the channel with it.
  }
}
