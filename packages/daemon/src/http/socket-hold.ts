import type { Duplex } from "node:stream";

/** How many hold each connection that is held. */
const holders = new WeakMap<Duplex, number>();

/**
 * Reads no more of a connection until what comes back is called, by everyone who holds it. Whoever reads a body resumes its
 * connection all the time: that has no effect meanwhile. It goes on even if Node has stopped it because nobody takes a body:
 * Node stops it again at the next read.
 */
export function holdSocket(socket: Duplex): () => void {
  const before = holders.get(socket) ?? 0;
  holders.set(socket, before + 1);
  socket.pause();
  if (before === 0) socket.on("resume", pause);
  return () => {
    const rest = (holders.get(socket) ?? 1) - 1;
    holders.set(socket, rest);
    if (rest > 0) return;
    socket.off("resume", pause);
    if (!isPausedByServer(socket)) socket.resume();
  };
}

/** While many answers wait to go out, Node's server bears no bytes; it resumes by itself. */
export function isPausedByServer(socket: Duplex): boolean {
  return "_paused" in socket && socket._paused === true;
}

function pause(this: Duplex): void {
  this.pause();
}
