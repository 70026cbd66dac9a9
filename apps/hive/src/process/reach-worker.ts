import { connect } from "node:net";
import { isLoopbackAddress } from "@queen-and-hive/daemon";

/** How long one attempt to connect may take, milliseconds. */
const CONNECT_MS = 1_000;

/**
 * Whether a worker that others are to reach listens on this machine's loopback alone: the mistake of an engine that was not
 * told where to listen. False while it listens nowhere, and for workers that only this machine is to reach.
 */
export async function listensOnLoopbackOnly(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (isLoopbackAddress(host) || (await accepts(host, Number(port)))) return false;
  return (await accepts("127.0.0.1", Number(port))) || (await accepts("::1", Number(port)));
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const settle = (isOpen: boolean) => (): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", settle(true)).once("error", settle(false)).once("timeout", settle(false));
  });
}
