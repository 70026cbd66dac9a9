import { type Listen, type Log, type Metrics, type RunningServer, startHttpServer } from "@queen-and-hive/daemon";
import { CALLBACK_ENDPOINTS } from "@queen-and-hive/protocol";
import type { QueenSettings } from "../config/settings.ts";
import { createAuthorize } from "./identity.ts";
import { postHiveReady } from "./post-hive-ready.ts";
import { postWorkerExited } from "./post-worker-exited.ts";
import { postWorkerReady } from "./post-worker-ready.ts";
import type { QueenView } from "./queen-view.ts";

/** What a server of the callbacks alone is made of. */
export interface CallbackServerOptions {
  readonly view: QueenView;
  /** The hives that may call here, each with its token. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly listen: Listen;
  readonly limits: QueenSettings["limits"];
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Connections that one address may have here; hives need a few. */
const CONNECTIONS_PER_IP_MAX = 64;

/**
 * The three routes that hives call and nothing else, never without a hive's token: what `hive_listen` and every tunnel
 * serve, so that nobody gets from a host to the queen's other routes. Throws `port_in_use`, `invalid_config`.
 */
export function startCallbackServer({
  view,
  tokens,
  listen,
  limits,
  metrics,
  log,
}: CallbackServerOptions): Promise<RunningServer> {
  return startHttpServer({
    table: CALLBACK_ENDPOINTS,
    handlers: {
      postHiveReady: postHiveReady(view),
      postWorkerReady: postWorkerReady(view),
      postWorkerExited: postWorkerExited(view),
    },
    listen,
    authorize: createAuthorize({ keys: [], hiveTokens: tokens }),
    log,
    metrics,
    limits: {
      bodyBytes: limits.bodyBytes,
      headersBytes: limits.headersBytes,
      connectionsPerIp: CONNECTIONS_PER_IP_MAX,
      requestTimeoutMs: limits.receiveMs,
    },
  });
}
