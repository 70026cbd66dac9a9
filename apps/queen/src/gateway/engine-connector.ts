import type { buildConnector } from "undici";
import type { ReadyWorker } from "../workers/worker-directory.ts";

/** Of an address that names none: undici gives an empty text. Own ways are ways to `http:`. */
const HTTP_PORT = 80;

/** How undici opens connections to an engine, within so many milliseconds (Infinity: no limit): its own way, or TCP from here. */
export function connectorOf(
  { connect }: { readonly connect?: ReadyWorker["connect"] | undefined },
  connectMs: number,
): buildConnector.BuildOptions | buildConnector.connector {
  if (connect === undefined) return { timeout: Number.isFinite(connectMs) ? connectMs : 0 };
  return ({ hostname, port }, callback) => {
    connect({ host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? HTTP_PORT : Number(port) }, connectMs).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}
