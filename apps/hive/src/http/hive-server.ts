import { type Log, type Metrics, type RunningServer, startHttpServer } from "@queen-and-hive/daemon";
import { HIVE_ENDPOINTS, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config.ts";
import type { TokenFile } from "../store/token-file.ts";
import { authorizeByToken } from "./authorize.ts";
import { hiveHandlers } from "./handlers.ts";
import type { HiveParts } from "./hive-parts.ts";

/** What the hive's server is made of. */
export interface HiveServerOptions {
  readonly parts: HiveParts;
  readonly token: TokenFile;
  readonly settings: Pick<HiveSettings, "listen" | "limits">;
  /** Where the last daemon listened. */
  readonly lastUrl: string | null;
  /** Requests wait for this: the port is bound first, so that a taken one is known before any worker is touched. */
  readonly opened: Promise<unknown>;
  readonly log: Log;
  readonly metrics: Metrics;
}

const HEADERS_BYTES = 16 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * Binds the hive's port. Port 0 tries the last daemon's port first, so that workers that still load find the new daemon
 * where they were told. Throws `port_in_use` naming the owner.
 */
export async function startServer(options: HiveServerOptions): Promise<RunningServer> {
  const { host, port } = options.settings.listen;
  const lastPort = port === 0 && options.lastUrl !== null ? Number(new URL(options.lastUrl).port) : 0;
  if (port !== 0 || lastPort === 0) return listen(options, host, port);
  try {
    return await listen(options, host, lastPort);
  } catch (error) {
    if (error instanceof QhError && error.kind === "port_in_use") return listen(options, host, 0);
    throw error;
  }
}

/** Where workers of this machine call back: the hive's own port, on loopback when it listens everywhere. */
export function callbackUrlFor(host: string, port: number | null): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  return `http://${reachable}:${port}${HIVE_ENDPOINTS.postWorkerReady.path}`;
}

function listen(
  { parts, token, settings, opened, log, metrics }: HiveServerOptions,
  host: string,
  port: number,
): Promise<RunningServer> {
  const authorize = authorizeByToken(token);
  return startHttpServer({
    table: HIVE_ENDPOINTS,
    handlers: hiveHandlers(parts),
    listen: { host, port },
    authorize: async (caller, request) => {
      await opened;
      return authorize(caller, request);
    },
    log,
    metrics,
    limits: { bodyBytes: settings.limits.bodyBytes, headersBytes: HEADERS_BYTES, requestTimeoutMs: REQUEST_TIMEOUT_MS },
  });
}
