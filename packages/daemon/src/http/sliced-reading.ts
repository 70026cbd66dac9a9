import type { Duplex } from "node:stream";
import type { LoopShare } from "./loop-share.ts";
import { holdSocket, isPausedByServer } from "./socket-hold.ts";

/** So much is parsed before anybody looks at the time: 700 chunks of one byte. */
const SLICE_BYTES = 4_096;

type OnData = (this: Duplex, bytes: Buffer) => void;

/** The connections that are read in slices. */
const sliced = new WeakSet<Duplex>();

/**
 * From now on, what comes on a connection of an HTTP server is parsed as far as there is time in a turn of the event loop.
 * Node parses 64 KiB in one go, and each chunk of a body costs it a call: 10,000 chunks of one byte take tens of milliseconds.
 */
export function readInSlices(socket: Duplex, share: Pick<LoopShare, "isSpent" | "afterTurn">): void {
  // The server's own: it is there for streams that its parser does not read natively, which it does until another one listens.
  const [parse, ...others] = socket.listeners("data") as OnData[];
  if (parse === undefined || others.length > 0 || sliced.has(socket)) return;
  const onData = (bytes: Buffer): void => {
    let at = 0;
    while (at < bytes.length && !share.isSpent && !isPausedByServer(socket) && sliced.has(socket)) {
      parse.call(socket, bytes.subarray(at, at + SLICE_BYTES));
      at += SLICE_BYTES;
    }
    if (at >= bytes.length || !sliced.has(socket) || socket.destroyed) return;
    const release = holdSocket(socket);
    socket.unshift(bytes.subarray(at));
    share.afterTurn(release);
  };
  sliced.add(socket);
  socket.on("data", onData).off("data", parse);
}

/** What else comes on a connection is not parsed: it is no HTTP, or has failed to be. */
export function endSlices(socket: Duplex): void {
  sliced.delete(socket);
}
