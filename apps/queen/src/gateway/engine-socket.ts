import { Socket } from "node:net";
import { systemClock } from "@queen-and-hive/daemon";

const READ_BYTES = 65_536;
/** Of all engine sockets: what one has read is copied before the next one reads. */
const buffer = Buffer.allocUnsafe(READ_BYTES);
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
    if (chunk === null && this.#stopped) {
      this.#stopped = false;
      this.resume();
    }
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
    this.#stopped = this.#unread !== null;
    return !this.#stopped;
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
