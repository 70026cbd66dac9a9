import { createHash, timingSafeEqual } from "node:crypto";
import {
  type Authorize,
  isLoopbackName,
  type Log,
  type Metrics,
  type RunningServer,
  startHttpServer,
} from "@queen-and-hive/daemon";
import { WORKER_ENDPOINTS } from "../endpoints.ts";
import { getHealth } from "./get-health.ts";
import { getModels } from "./get-models.ts";
import { postChatCompletions } from "./post-chat-completions.ts";
import { postCompletions } from "./post-completions.ts";
import { postEmbeddings } from "./post-embeddings.ts";
import type { Serving } from "./serving.ts";

/** Headers and arrival of a request; bodies are limited by the configuration. */
const HEADERS_BYTES_MAX = 16 * 1024;
const REQUEST_ARRIVAL_MS = 60_000;

/** What the server needs to know. */
export interface ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly key: string | null;
  readonly bodyBytesMax: number;
}

/** Starts the worker's server; `/health` answers from the first moment on. Throws what the daemon's server throws. */
export function startServer(settings: ServerSettings, serving: Serving, metrics: Metrics, log: Log): Promise<RunningServer> {
  return startHttpServer({
    table: WORKER_ENDPOINTS,
    handlers: {
      getHealth: getHealth(serving),
      getMetrics: async () => ({ body: await metrics.render(), headers: { "content-type": metrics.contentType } }),
      getModels: getModels(serving),
      postChatCompletions: postChatCompletions(serving),
      postCompletions: postCompletions(serving),
      postEmbeddings: postEmbeddings(serving),
    },
    listen: { host: settings.host, port: settings.port },
    authorize: authorizer(settings.key),
    log,
    metrics,
    limits: { bodyBytes: settings.bodyBytesMax, headersBytes: HEADERS_BYTES_MAX, requestTimeoutMs: REQUEST_ARRIVAL_MS },
    // Without a key only programs of this machine may drive it, and no web page through them.
    loopbackOnly: settings.key === null && isLoopbackName(settings.host),
  });
}

function authorizer(key: string | null): Authorize<true> {
  if (key === null) return () => true;
  const expected = digest(key);
  return (caller, { token }) => {
    if (caller === "anyone") return true;
    return token !== null && timingSafeEqual(digest(token), expected) ? true : null;
  };
}

/** Digests have one length, so that comparing them tells nothing about the key. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
