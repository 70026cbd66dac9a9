import { Socket } from "node:net";
import { LoopShare, systemClock } from "@queen-and-hive/daemon";

const READ_BYTES = 65_536;
/** Of all engine sockets: what one has read is copied before the next one reads. */
const buffer = Buffer.allocUnsafe(READ_BYTES);
/** What engines send faster than it is passed on is read by turns: Node reads 2 MiB of a socket at a time. */
const share = new LoopShare();
/** Silence after which the operating system asks whether the other end is still there. */
const KEEP_ALIVE_MS = 60_000;

/**
 * A TCP socket whose bytes are read where they arrive: Node's own stream allocates 64 KiB for each token, and passes it on
 * a tick later. It is for undici, which takes what there is by `read` when it hears `readable`. What it does not take, or
 * gives back, is kept, and nothing more is read before it is taken.
 */
export class EngineSocket extends Socket {
  #unread: Buffer | null = null;
  #stopped = false;
  #awaitsTurn = false;

  constructor() {
    super({ onread: { buffer, callback: (bytes) => this.#arrived(bytes) } });
    this.setNoDelay(true);
    this.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /**
   * All that has arrived, or null; after null more is read. undici reads until null, unless it is paused: then it may give back
   * the rest of what it has. `read(0)` is Node's own word for "begin to read".
   */
  override read(size?: number): Buffer | null {
    if (size === 0) return super.read(0);
    const chunk = this.#unread;
    this.#unread = null;
    if (chunk === null) this.#goOn();
    return chunk;
  }

  /** Gives back what was read and cannot be used yet. */
  override unshift(chunk: Buffer): void {
    if (chunk.length > 0) this.#unread = chunk;
  }

  /** False: read no more. */
  #arrived(bytes: number): boolean {
    // A copy: undici keeps pieces of the headers until they are whole.
    const chunk = Buffer.allocUnsafe(bytes);
    buffer.copy(chunk, 0, 0, bytes);
    this.#unread = this.#unread === null ? chunk : Buffer.concat([this.#unread, chunk]);
    this.emit("readable");
    // A full buffer: there is more.
    if (bytes === READ_BYTES && share.isSpent) {
      this.#awaitsTurn = true;
      share.afterTurn(() => {
        this.#awaitsTurn = false;
        if (this.#unread === null) this.#goOn();
      });
    }
    this.#stopped = this.#unread !== null || this.#awaitsTurn;
    return !this.#stopped;
  }

  #goOn(): void {
    if (!this.#stopped || this.#awaitsTurn || this.destroyed) return;
    this.#stopped = false;
    this.resume();
  }
}

/** A TCP connection to an engine, open. Rejects when there is none within `withinMs` (Infinity: no limit). */
export function connectEngine(
  address: { readonly host: string; readonly port: number },
  withinMs: number,
): Promise<EngineSocket> {
  return new Promise((resolve, reject) => {
    const socket = new EngineSocket();
    const refuse = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const limit = systemClock.after(withinMs, () => refuse(new Error(`no connection within ${withinMs} ms`)));
    // It stays: without a listener, undici's or ours, an error would end the process.
    socket.on("error", refuse);
    socket.once("close", () => limit[Symbol.dispose]());
    socket.once("connect", () => {
      limit[Symbol.dispose]();
      resolve(socket);
    });
    socket.connect(address);
  });
}
