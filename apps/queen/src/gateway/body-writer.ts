import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

const CR = 13;
const LF = 10;
const HEX = Buffer.from("0123456789abcdef");

/**
 * Writes the body of an answer. Once its head is with the connection a piece goes there as one chunk in one buffer: Node makes
 * four of it, and a tick of the event loop.
 */
export class BodyWriter {
  readonly #response: ServerResponse;
  #begun = false;
  /** Where pieces go from now on: the head is there, and Node keeps nothing of the answer back. */
  #connection: Socket | null = null;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** The next piece. False: the client is slow; `onDrain` tells when to go on. */
  write(bytes: Uint8Array): boolean {
    this.#connection ??= this.#find();
    const connection = this.#connection;
    // One that the answer has left belongs to the next.
    if (connection?.writable !== true || this.#response.socket !== connection) return this.writeByNode(bytes);
    return bytes.length === 0 || connection.write(chunkOf(bytes));
  }

  /** The next piece, as Node writes it: behind the head if that is not out yet. */
  writeByNode(piece: Uint8Array | string): boolean {
    this.#begun = true;
    this.#connection = null;
    return this.#response.write(piece);
  }

  #find(): Socket | null {
    const { socket, chunkedEncoding, writableLength } = this.#response;
    // Before an earlier answer on the same connection is out there is none, or Node still keeps something back.
    if (!this.#begun || socket === null || !chunkedEncoding || writableLength > socket.writableLength) return null;
    return socket;
  }

  /** Calls `resume` once more can be written. */
  onDrain(resume: () => void): void {
    (this.#response.socket ?? this.#response).once("drain", resume);
  }

  /** The client has not taken what was written. */
  get needsDrain(): boolean {
    return this.#response.writableNeedDrain || this.#response.socket?.writableNeedDrain === true;
  }
}

/** The bytes as a chunk of the chunked coding (RFC 9112, 7.1). */
function chunkOf(bytes: Uint8Array): Buffer {
  let digits = 1;
  for (let rest = bytes.length >>> 4; rest > 0; rest >>>= 4) digits += 1;
  const chunk = Buffer.allocUnsafe(digits + bytes.length + 4);
  let rest = bytes.length;
  for (let at = digits - 1; at >= 0; at -= 1) {
    chunk[at] = HEX[rest & 15] ?? 0;
    rest >>>= 4;
  }
  chunk[digits] = CR;
  chunk[digits + 1] = LF;
  chunk.set(bytes, digits + 2);
  chunk[chunk.length - 2] = CR;
  chunk[chunk.length - 1] = LF;
  return chunk;
}
