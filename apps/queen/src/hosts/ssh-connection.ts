import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Deadline, errorCodeOf } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { AcceptConnection, Channel, Client } from "ssh2";
import { asSocket } from "./channel-socket.ts";
import { commandLabel } from "./command-label.ts";
import type { Argv, CommandEnd, ExecOptions, HostAddress } from "./host.ts";
import { SessionSlots } from "./session-slots.ts";
import { shellLine } from "./shell-words.ts";
import { type RunningCommand, runOnChannel } from "./ssh-command.ts";

/** How often a session is asked for again that was refused although no other is open, and how long it waits each time. */
const REFUSALS_MAX = 8;
const REFUSAL_PAUSE_MS = 150;

/** What a connection knows beside its client. */
export interface SshConnectionParts {
  readonly client: Client;
  /** What it travels on, ended with it. */
  readonly stream: Duplex;
  /** How the machine is named in messages. */
  readonly name: string;
  /** Commands at the same time; further ones wait in line. */
  readonly sessions: number;
}

/** One open SSH connection. It never throws on its own: whoever uses it hears of its end. */
export class SshConnection {
  readonly #client: Client;
  readonly #stream: Duplex;
  readonly #name: string;
  readonly #slots: SessionSlots;
  readonly #ended = new AbortController();
  /** Who takes the connections that come to the host's sockets, by path, and to its ports. */
  readonly #bySocket = new Map<string, OnConnection>();
  readonly #byPort = new Map<number, OnConnection>();
  /** Why it ended, as far as the connection itself said so. */
  #cause: unknown = null;

  constructor({ client, stream, name, sessions }: SshConnectionParts) {
    this.#client = client;
    this.#stream = stream;
    this.#name = name;
    this.#slots = new SessionSlots(sessions);
    client.setNoDelay(true);
    // Without a listener for it, an error of the connection would end the process.
    client.on("error", (error) => {
      this.#cause = error;
    });
    client.on("unix connection", ({ socketPath }, accept, reject) => hand(this.#bySocket.get(socketPath), accept, reject));
    client.on("tcp connection", ({ destPort }, accept, reject) => hand(this.#byPort.get(destPort), accept, reject));
    client.on("close", () => this.#end());
    client.on("end", () => this.#end());
  }

  /** Aborted, with `host_unreachable`, when the connection has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Runs a command to its end. Throws `host_unreachable`, `deadline_exceeded`, the signal's reason. */
  async exec(argv: Argv, { deadline, input, signal: given }: ExecOptions): Promise<CommandEnd> {
    const line = shellLine(argv);
    const what = `"${commandLabel(argv)}" on ${this.#name}`;
    using signal = deadline.signal(given);
    for (let attempt = 1; ; attempt += 1) {
      await this.#slots.take(AbortSignal.any([signal, this.#ended.signal]));
      const session = await this.#openSession(line, { input, signal, ended: this.#ended.signal, what });
      if (session !== null) return await session.end;
      const wasAlone = this.#slots.taken === 1;
      this.#slots.refused();
      if (!wasAlone) continue;
      if (attempt > REFUSALS_MAX) {
        throw new QhError(
          "host_unreachable",
          `cannot run commands on ${this.#name}: its SSH server refuses every session (MaxSessions)`,
        );
      }
      // The server may still be busy with the end of a session that is over for us.
      await pause(REFUSAL_PAUSE_MS, signal);
    }
  }

  /** Opens a TCP connection from the host. Throws `peer_unreachable`, `host_unreachable`, the signal's reason. */
  async forward({ host, port }: HostAddress, deadline: Deadline, given?: AbortSignal): Promise<Socket> {
    using signal = deadline.signal(given);
    return await this.#ask<Socket>(signal, (resolve, reject) =>
      this.#client.forwardOut("127.0.0.1", 0, host, port, (error, channel) => {
        if (error) return reject(refusedForward(error, `cannot connect to ${host}:${port} on ${this.#name}`));
        // Nobody waits any more for a channel that comes too late.
        if (signal.aborted) channel.destroy();
        resolve(asSocket(channel));
      }),
    );
  }

  /**
   * Lets the host's side of a Unix socket end here; every connection to it is handed on. False when the SSH server
   * forbids that or cannot make the socket.
   */
  async forwardSocketIn(path: string, onConnection: OnConnection, signal: AbortSignal): Promise<boolean> {
    return await this.#ask<boolean>(signal, (resolve) =>
      this.#client.openssh_forwardInStreamLocal(path, (error) => {
        if (!error) this.#bySocket.set(path, onConnection);
        resolve(!error);
      }),
    );
  }

  /** The same for a loopback port that the host chooses; null when the SSH server forbids that. */
  async forwardPortIn(onConnection: OnConnection, signal: AbortSignal): Promise<number | null> {
    return await this.#ask<number | null>(signal, (resolve) =>
      this.#client.forwardIn("127.0.0.1", 0, (error, port) => {
        if (!error) this.#byPort.set(port, onConnection);
        resolve(error ? null : port);
      }),
    );
  }

  /** Ends it; what is under way on it fails. */
  close(): void {
    // No goodbye: a peer that is gone never answers it, and ssh2's client leaves a socket alone that is only half closed.
    this.#stream.destroy();
    this.#end();
  }

  /** Null when the server refuses another session; the slot is then still taken. */
  #openSession(line: string, command: RunningCommand): Promise<{ readonly end: Promise<CommandEnd> } | null> {
    return this.#ask(command.signal, (resolve, reject) =>
      this.#client.exec(line, (error, channel) => {
        if (error) {
          if (reasonOf(error) !== null && !command.signal.aborted) return resolve(null);
          this.#slots.release();
          return reject(new QhError("host_unreachable", `cannot run ${command.what}: ${error.message}`, { cause: error }));
        }
        channel.once("close", () => this.#slots.release());
        // A short command's whole life may be in the packet that is being read: whoever listens later hears nothing.
        const end = runOnChannel(channel, command);
        end.catch(() => undefined);
        resolve({ end });
      }),
    );
  }

  /** One question to the other side: its answer, or the end of the connection or of our patience. */
  #ask<T>(signal: AbortSignal, ask: (resolve: (answer: T) => void, reject: (error: Error) => void) => void): Promise<T> {
    const either = AbortSignal.any([signal, this.#ended.signal]);
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => reject(either.reason);
      if (either.aborted) return onAbort();
      either.addEventListener("abort", onAbort, { once: true });
      const settled = (): void => either.removeEventListener("abort", onAbort);
      try {
        ask(
          (answer) => {
            settled();
            resolve(answer);
          },
          (error) => {
            settled();
            reject(error);
          },
        );
      } catch (cause) {
        // ssh2 throws where its socket is gone and it has not said so yet.
        settled();
        reject(new QhError("host_unreachable", `cannot use the connection to ${this.#name}: it has ended`, { cause }));
      }
    });
  }

  #end(): void {
    if (this.#ended.signal.aborted) return;
    this.#bySocket.clear();
    this.#byPort.clear();
    const cause = this.#cause;
    const why = cause instanceof Error ? (errorCodeOf(cause) ?? cause.message) : "it was closed";
    this.#ended.abort(
      new QhError("host_unreachable", `cannot go on: the SSH connection to ${this.#name} was lost (${why})`, { cause }),
    );
  }
}

/** Takes a connection that came to the host. */
type OnConnection = (socket: Socket) => void;

function hand(onConnection: OnConnection | undefined, accept: AcceptConnection<Channel>, reject: () => void): void {
  if (onConnection === undefined) reject();
  else onConnection(asSocket(accept()));
}

/** `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED` (RFC 4254, 5.1). */
const PROHIBITED = 1;

function refusedForward(cause: Error, what: string): QhError {
  const reason = reasonOf(cause);
  if (reason === null) return new QhError("host_unreachable", `${what}: ${cause.message}`, { cause });
  const why = reason === PROHIBITED ? "its SSH server forbids TCP forwarding (AllowTcpForwarding)" : "nobody answers there";
  return new QhError("peer_unreachable", `${what}: ${why}`, { cause });
}

/** The reason code with which a server refused a channel; null when it did not refuse one. */
function reasonOf(error: unknown): number | null {
  return error instanceof Error && "reason" in error && typeof error.reason === "number" ? error.reason : null;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
