import type { ServerResponse } from "node:http";

const CR = 13;
const LF = 10;
const HEX = Buffer.from("0123456789abcdef");

/**
 * Writes a piece of an answer's body. False: the client is slow; `onDrain` tells when to go on.
 * Once the headers are out a piece goes to the connection as one chunk in one buffer: Node makes four of it, and a tick
 * of the event loop, which costs a sixth of a token.
 */
export function writeBody(response: ServerResponse, bytes: Uint8Array): boolean {
  const { socket } = response;
  // Before an earlier answer on the same connection is out there is none, or Node still keeps something back.
  const isOwn = socket !== null && response.headersSent && response.chunkedEncoding;
  if (!isOwn || response.writableLength > socket.writableLength) return response.write(bytes);
  return bytes.length === 0 || socket.write(chunkOf(bytes));
}

/** Calls `resume` once what was written is with the operating system. */
export function onDrain(response: ServerResponse, resume: () => void): void {
  (response.socket ?? response).once("drain", resume);
}

/** The client has not taken what was written. */
export function needsDrain(response: ServerResponse): boolean {
  return response.writableNeedDrain || response.socket?.writableNeedDrain === true;
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
