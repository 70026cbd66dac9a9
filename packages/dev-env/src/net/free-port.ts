import { createServer } from "node:net";

/** Below the range from which Linux takes ports for outgoing connections, so that none of those takes one of ours. */
const LOWEST = 10_240;
const HIGHEST = 32_000;
const TRIES = 200;
const LOOPBACK = "127.0.0.1";

/** A port that nobody listens on at an address of ours. Chosen at random, so that test processes side by side rarely collide. */
export async function freePort(host = LOOPBACK): Promise<number> {
  const { first } = await freePortRange(1, host);
  return first;
}

/** So many free ports in a row, as the `worker_ports` of a configuration: `text` is `first-last`. */
export async function freePortRange(
  count: number,
  host = LOOPBACK,
): Promise<{ readonly first: number; readonly last: number; readonly text: string }> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const first = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - count));
    const last = first + count - 1;
    if (await allFree(first, last, host)) return { first, last, text: `${first}-${last}` };
  }
  throw new Error(`cannot find ${count} free ports in a row between ${LOWEST} and ${HIGHEST}`);
}

/** Whether nobody listens on this port of an address of ours. */
export function isPortFree(port: number, host = LOOPBACK): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

async function allFree(first: number, last: number, host: string): Promise<boolean> {
  for (let port = first; port <= last; port += 1) if (!(await isPortFree(port, host))) return false;
  return true;
}
