import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Gives an SSH channel the methods of a socket that HTTP clients and servers call. A raw channel lacks them, and with
 * stand-ins that do nothing a client's `timeout` never fires. `setNoDelay` and `setKeepAlive` are the connection's business.
 */
export function asSocket(channel: Duplex): Socket {
  const idle = new IdleTimer(channel);
  const methods = {
    setTimeout: (ms: number, listener?: () => void) => {
      if (listener !== undefined && ms > 0) channel.once("timeout", listener);
      idle.set(ms);
      return channel;
    },
    setNoDelay: () => channel,
    setKeepAlive: () => channel,
    ref: () => channel,
    unref: () => channel,
    destroySoon: () => {
      if (channel.writable) channel.end();
      if (channel.writableFinished) channel.destroy();
      else channel.once("finish", () => channel.destroy());
    },
    push: (chunk: unknown, encoding?: BufferEncoding) => {
      idle.touch();
      return Reflect.apply(idle.push, channel, [chunk, encoding]);
    },
    write: (...words: readonly unknown[]) => {
      idle.touch();
      return Reflect.apply(idle.write, channel, words);
    },
  };
  const socket: Duplex = Object.assign(channel, methods);
  // Whoever uses it has listeners of their own; without any, a reset of the connection would end the process.
  socket.on("error", () => undefined);
  if (!isSocket(socket)) throw new TypeError("a channel with a socket's methods is one");
  return socket;
}

function isSocket(stream: Duplex): stream is Socket {
  return "setTimeout" in stream && "setNoDelay" in stream && "setKeepAlive" in stream && "ref" in stream && "unref" in stream;
}

/** Emits `timeout` when nothing was read or written for so long, as sockets do. */
class IdleTimer {
  readonly push: (chunk: unknown, encoding?: BufferEncoding) => unknown;
  readonly write: (...words: never[]) => unknown;
  readonly #channel: Duplex;
  #ms = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(channel: Duplex) {
    this.#channel = channel;
    this.push = channel.push;
    this.write = channel.write;
    channel.once("close", () => this.set(0));
  }

  set(ms: number): void {
    this.#ms = ms;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = ms > 0 && !this.#channel.destroyed ? setTimeout(() => this.#channel.emit("timeout"), ms).unref() : null;
  }

  touch(): void {
    if (this.#ms > 0) this.#timer?.refresh();
  }
}
