import type { Server } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { hurryTurns, type LoopShare } from "./loop-share.ts";
import { readInSlices, sliceOf } from "./sliced-reading.ts";

/** A connection of which nothing has come for so long is the server's own, for its limits of time to hold. */
const SILENT_MS = 1_000;

/**
 * Looks at what comes first on each connection before the server does: with the headers of a request there may have come 64 KiB
 * of its body in chunks of one byte, all of which Node parses in one go. Such a connection is read in slices from its beginning;
 * any other is Node's from then on, which reads it natively: where chunks come with a later request for the first time, what
 * comes together with its headers is parsed in one go. To be called before anybody else hears of connections.
 */
export function lookAtFirstReads(server: Server, share: Pick<LoopShare, "isSpent" | "afterTurn">): void {
  const serve = server.listeners("connection")[0] as (this: Server, socket: Duplex) => void;
  server.off("connection", serve as () => void);
  server.on("connection", (socket: Duplex) => {
    hurryTurns();
    const handOver = (first: Buffer | null): void => {
      clearTimeout(silence);
      socket.off("data", handOver).off("end", end).off("close", close);
      if (socket.destroyed) return;
      socket.off("error", ignore);
      // As Node finds a socket of which nothing has come: with a read outstanding. Else the stream would begin one of its own
      // right behind this, also when it was paused meanwhile, and the native parser would be fed all the same.
      if (first !== null && socket instanceof Socket) socket.read(0);
      serve.call(server, socket);
      if (first === null || mayBeFlood(first)) readInSlices(socket, share);
      if (first !== null) socket.emit("data", first);
    };
    const end = (): void => void socket.end();
    const close = (): void => clearTimeout(silence);
    const silence = setTimeout(handOver, SILENT_MS, null).unref();
    socket.on("data", handOver).on("end", end).on("error", ignore).on("close", close);
  });
}

/** Chunks of a body may be in it, or behind headers that have not all come: more of them than a slice may have. */
function mayBeFlood(first: Buffer): boolean {
  // An empty line ahead of a request means nothing.
  if (first.indexOf("\r\n\r\n") <= 0) return true;
  return sliceOf(first, 0).length < first.length && /transfer-encoding:/i.test(first.toString("latin1"));
}

function ignore(): void {}
