import { appendFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { knownHostsLine, type SshGround } from "./ground.ts";
import type { SshTestHost } from "./ssh-test-host.ts";

/** How bad a link is. */
export interface LinkQuality {
  /** How long everything is under way, in each direction, milliseconds. */
  readonly delayMs: number;
}

/** A host behind a bad link. */
export interface WorsenedLink extends AsyncDisposable {
  /** The same host; its address, port and URL lead over the link, and the ground's known_hosts has them. */
  readonly host: SshTestHost;
}

/** What may be under way in one direction, bytes: more than delay times bandwidth of any link that is tested. */
const UNDER_WAY_BYTES_MAX = 4_194_304;

/**
 * Puts a slow link in front of a host's SSH server: a forwarder of ours, since many kernels lack netem. What travels inside
 * SSH is slowed; a direct hive's own port is not.
 */
export async function worsenLink(ground: SshGround, host: SshTestHost, { delayMs }: LinkQuality): Promise<WorsenedLink> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: host.address, port: host.port, allowHalfOpen: true, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
    carry(near, far, delayMs);
    carry(far, near, delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, host.gateway, resolve));
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const address = host.gateway;
  const behind = { ...host, address, port, url: `ssh://${host.user}@${address}:${port}` };
  appendFileSync(ground.knownHosts, `${knownHostsLine(behind)}\n`);
  return {
    host: behind,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** One direction: bytes, then the end of them, each after the delay; timers of one length fire in the order they were set. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  let underWayBytes = 0;
  from.on("data", (chunk: Buffer) => {
    underWayBytes += chunk.length;
    if (underWayBytes > UNDER_WAY_BYTES_MAX) from.pause();
    setTimeout(() => {
      underWayBytes -= chunk.length;
      if (to.writable) to.write(chunk);
      from.resume();
    }, delayMs);
  });
  from.on("end", () => setTimeout(() => to.end(), delayMs));
  from.on("error", () => to.destroy());
}
