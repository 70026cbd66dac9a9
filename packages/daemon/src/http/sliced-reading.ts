import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { gatherChunks } from "./gathered-body.ts";
import type { LoopShare } from "./loop-share.ts";
import { holdSocket, isPausedByServer } from "./socket-hold.ts";

/** So much is parsed before anybody looks at the time, of a large chunk or of headers, which is nearly nothing. */
const SLICE_BYTES = 4_096;

/** And so many lines: a chunk has two. Node makes a buffer of each, and V8 may put a step of its marking behind each buffer. */
const SLICE_LINES = 160;
const LINE_FEED = 10;

/** What a connection has of its turn at least, a slice of whatever it costs. */
const OWN_MS = 0.2;

type OnData = (this: Duplex, bytes: Buffer) => void;

/** The connections that are read in slices. */
const sliced = new WeakSet<Duplex>();

/**
 * Has a body that comes in chunks of the sender's choice, and whatever follows on its connection, read by turns of the event
 * loop, and its chunks gathered. Node parses 64 KiB in one go, and each chunk costs it a call: 10,000 chunks of one byte take
 * tens of milliseconds. What has come together with the headers is parsed already.
 */
export function readChunksByTurns(request: IncomingMessage, share: Pick<LoopShare, "isSpent" | "afterTurn">): void {
  if (request.headers["transfer-encoding"] === undefined) return;
  gatherChunks(request);
  readInSlices(request.socket, share);
}

/** From now on, what comes on a connection of an HTTP server is parsed as far as there is time in a turn of the event loop. */
export function readInSlices(socket: Duplex, share: Pick<LoopShare, "isSpent" | "afterTurn">): void {
  // The server's own listener, for streams that its parser does not read natively; once another listens it reads none natively.
  const [parse, ...others] = socket.listeners("data") as OnData[];
  if (parse === undefined || others.length > 0 || sliced.has(socket)) return;
  /** The next slice is this connection's, whatever time is left, and what there is time for until then. */
  let hasTurn = false;
  let ownUntilMs = 0;
  const onData = (bytes: Buffer): void => {
    let at = 0;
    const mayGoOn = (): boolean => hasTurn || performance.now() < ownUntilMs || !share.isSpent;
    while (at < bytes.length && mayGoOn() && !isPausedByServer(socket) && sliced.has(socket)) {
      hasTurn = false;
      const slice = sliceOf(bytes, at);
      parse.call(socket, slice);
      at += slice.length;
    }
    if (at >= bytes.length || !sliced.has(socket) || socket.destroyed) return;
    const release = holdSocket(socket);
    socket.unshift(bytes.subarray(at));
    share.afterTurn(() => {
      release();
      // Others hold it as well, or the server has paused it: they let it go on.
      if (socket.readableFlowing !== true) return;
      hasTurn = true;
      ownUntilMs = performance.now() + OWN_MS;
      socket.read();
      hasTurn = false;
    });
  };
  sliced.add(socket);
  socket.on("data", onData).off("data", parse);
  // The native parser has left a read outstanding, beside which the stream would begin no other.
  socket.push("");
}

/** What is parsed in one go of what has come. */
export function sliceOf(bytes: Buffer, from: number): Buffer {
  const longest = bytes.subarray(from, from + SLICE_BYTES);
  let end = 0;
  for (let lines = 0; lines < SLICE_LINES; lines += 1) {
    end = longest.indexOf(LINE_FEED, end) + 1;
    if (end === 0) return longest;
  }
  return longest.subarray(0, end);
}

/** What else comes on a connection is not parsed: it is no HTTP, or has failed to be. */
export function endSlices(socket: Duplex): void {
  sliced.delete(socket);
}
