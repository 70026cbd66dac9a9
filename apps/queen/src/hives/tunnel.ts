import type { Socket } from "node:net";
import { type Clock, Deadline, type Log, type RunningServer } from "@queen-and-hive/daemon";
import type { QueenAddress } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config/settings.ts";
import { openCallbackSocket, removeCallbackSocket } from "../hosts/callback-socket.ts";
import { hiveStateDir } from "../hosts/host-path.ts";
import type { SshConnection } from "../hosts/ssh-connection.ts";
import type { SshHost } from "../hosts/ssh-host.ts";
import type { HiveTransport } from "./transport.ts";

/** What a tunnel needs to know. */
export interface TunnelOptions {
  readonly host: SshHost;
  readonly hive: HiveSettings;
  /** Who we are; the address in it is not used. */
  readonly queen: () => QueenAddress;
  /** Starts the server for this hive's callbacks: the three routes, its token, no listener. */
  readonly serveCallbacks: () => Promise<RunningServer>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The way through the SSH connection: nothing of the hive listens beyond its host's loopback, nothing of ours there. */
export class Tunnel implements HiveTransport {
  readonly #options: TunnelOptions;
  #server: Promise<RunningServer> | null = null;
  /** The way back on the newest connection. */
  #way: { readonly connection: SshConnection; readonly url: Promise<string> } | null = null;
  #lastUrl = "";

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  async queenAddress(deadline: Deadline, signal: AbortSignal): Promise<QueenAddress> {
    const connection = await this.#options.host.connection(deadline, signal);
    if (this.#way?.connection !== connection) this.#way = { connection, url: this.#open(connection) };
    const way = this.#way;
    try {
      this.#lastUrl = await way.url;
    } catch (error) {
      // The next one who asks tries again.
      if (this.#way === way) this.#way = null;
      throw error;
    }
    return this.lastAddress();
  }

  lastAddress(): QueenAddress {
    return { ...this.#options.queen(), queen_url: this.#lastUrl };
  }

  readonly connectDaemon = ({ host, port }: { readonly host: string; readonly port: number }): Promise<Socket> =>
    this.#options.host.forward(
      { host, port },
      { traffic: "control", deadline: Deadline.in(this.#options.host.limits.forwardMs, this.#options.clock) },
    );

  readonly connectEngine = (address: { readonly host: string; readonly port: number }, withinMs: number): Promise<Socket> =>
    this.#options.host.forward(address, { traffic: "tokens", deadline: Deadline.in(withinMs, this.#options.clock) });

  async [Symbol.asyncDispose](): Promise<void> {
    const way = this.#way;
    this.#way = null;
    if (way !== null && !way.connection.ended.aborted && this.#lastUrl !== "")
      await removeCallbackSocket(way.connection, this.#lastUrl, Deadline.in(REMOVE_MS, this.#options.clock));
    const server = this.#server;
    this.#server = null;
    await (await server)?.close(Deadline.in(0, this.#options.clock));
  }

  async #open(connection: SshConnection): Promise<string> {
    const { host, hive, queen, serveCallbacks, clock, log } = this.#options;
    this.#server ??= serveCallbacks();
    const server = await this.#server;
    const deadline = Deadline.in(host.limits.wayBackMs, clock);
    const facts = await host.facts(deadline, connection.ended);
    const stateDir = hiveStateDir(hive, facts);
    const place = { hiveId: hive.id, stateDir, queenId: queen().queen_id, facts };
    const url = await openCallbackSocket(connection, place, (socket) => server.accept(socket), deadline, connection.ended);
    log.info("a way back from a hive is open", { hive_id: hive.id, host: host.name, url });
    return url;
  }
}

/** How long taking the socket away at the end may take, milliseconds. */
const REMOVE_MS = 1_000;
