import type { Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { LinkedList } from "../linked-list.ts";

/** The open connections of a server and the requests in flight on each, so that closing can tell idle from busy. */
export class Connections {
  readonly #inFlight = new Map<Duplex, LinkedList<ServerResponse>>();
  readonly #perIp = new Map<string, number>();
  readonly #closedBehind = new WeakSet<Duplex>();
  #closing = false;

  constructor(server: Server) {
    server.on("connection", (socket: Duplex) => this.#opened(socket));
  }

  /** How many connections an address has; 0 for those without one (Unix sockets, channels). */
  countOf(address: string | undefined): number {
    return address === undefined ? 0 : (this.#perIp.get(address) ?? 0);
  }

  /** A request has begun; it counts until its answer is out or its connection is gone. */
  began(socket: Duplex, response: ServerResponse): void {
    const responses = this.#inFlight.get(socket);
    const entry = responses?.add(response);
    if (this.#closing && !response.headersSent) response.setHeader("connection", "close");
    response.on("close", () => {
      entry?.[Symbol.dispose]();
      if (this.#closing && responses?.size === 0) endSoon(socket);
    });
  }

  /** An answer has begun on this connection and is not out yet. */
  isAnswering(socket: Duplex): boolean {
    return this.#answersOf(socket).some((response) => response.headersSent && !response.writableFinished);
  }

  /**
   * Whole requests wait for their answers on this connection, and none has begun: they get them, then it closes. False:
   * there is none such, or what came is a part of the last one.
   */
  closeBehindAnswers(socket: Duplex): boolean {
    const waiting = this.#answersOf(socket).filter((response) => !response.writableFinished);
    if (waiting.length === 0 || !waiting.every(({ req }) => req.complete)) return false;
    if (this.#closedBehind.has(socket)) return true;
    if (waiting.some((response) => response.headersSent)) return false;
    this.#closedBehind.add(socket);
    for (const response of waiting.slice(-1)) response.setHeader("connection", "close");
    return true;
  }

  /** Ends idle connections now and each busy one after its answer. */
  endWhenIdle(): void {
    this.#closing = true;
    for (const [socket, responses] of this.#inFlight) {
      if (responses.size === 0) socket.destroy();
      for (const response of responses.values()) if (!response.headersSent) response.setHeader("connection", "close");
    }
  }

  /** Resolves when no connection is open. */
  async allClosed(): Promise<void> {
    await Promise.all(
      [...this.#inFlight.keys()].map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()))),
    );
  }

  /** Cuts everything that is left. */
  destroyAll(): void {
    for (const socket of this.#inFlight.keys()) socket.destroy();
  }

  #answersOf(socket: Duplex): readonly ServerResponse[] {
    return this.#inFlight.get(socket)?.values() ?? [];
  }

  #opened(socket: Duplex): void {
    this.#inFlight.set(socket, new LinkedList());
    const address = remoteAddressOf(socket);
    if (address !== undefined) this.#perIp.set(address, this.countOf(address) + 1);
    socket.once("close", () => {
      this.#inFlight.delete(socket);
      if (address === undefined) return;
      const rest = this.countOf(address) - 1;
      if (rest > 0) this.#perIp.set(address, rest);
      else this.#perIp.delete(address);
    });
    if (this.#closing) socket.destroy();
  }
}

/** The address of a connection's other end; undefined for Unix sockets and channels. */
export function remoteAddressOf(socket: Duplex): string | undefined {
  return "remoteAddress" in socket && typeof socket.remoteAddress === "string" ? socket.remoteAddress : undefined;
}

/** What has been written still goes out. */
function endSoon(socket: Duplex): void {
  if ("destroySoon" in socket && typeof socket.destroySoon === "function") socket.destroySoon();
  else socket.end(() => socket.destroy());
}
