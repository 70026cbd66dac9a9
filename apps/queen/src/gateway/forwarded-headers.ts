import type { StreamDialect } from "../domain/stream-dialect.ts";
import type { EngineBody } from "./inference-request.ts";

/** Headers of one connection, which a proxy must not pass on (RFC 9110, 7.6.1), and what they name. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/**
 * What the engine must not see: the client's secrets, its browser's, what describes bytes that we send anew, and where the
 * client is: an engine may be a cloud, and a proxy before us may have written that down.
 */
const NOT_TO_ENGINE = new Set([
  ...HOP_BY_HOP,
  "accept-encoding",
  "api-key",
  "authorization",
  "content-length",
  "content-type",
  "cookie",
  "expect",
  "fastly-client-ip",
  "fly-client-ip",
  "forwarded",
  "host",
  "origin",
  "referer",
  "true-client-ip",
  "via",
  "x-api-key",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-envoy-external-address",
  "x-original-forwarded-for",
  "x-original-host",
  "x-real-ip",
  "x-request-id",
  "x-request-timeout",
]);
/** The same by how they begin: a browser's, a proxy's, Cloudflare's. */
const NOT_TO_ENGINE_BEGINNINGS = ["sec-", "x-forwarded-", "cf-"];

/** What the client must not see: the engine's own connection, its leave for other sites, and what we say ourselves. */
const NOT_TO_CLIENT = new Set([
  ...HOP_BY_HOP,
  "content-length",
  "date",
  "server",
  "server-timing",
  "set-cookie",
  "x-accel-buffering",
  "x-request-id",
]);

/** Header values as Node and undici give them: by lower-case name. */
export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What the queen herself says to an engine. */
export interface EngineFacts {
  readonly requestId: string;
  /** The engine's own key, or null. */
  readonly key: string | null;
  readonly body: Pick<EngineBody, "bytes" | "contentType">;
  readonly dialect: StreamDialect;
}

/** What one request says to an engine. */
export function headersForEngine(client: HeaderValues, { requestId, key, body, dialect }: EngineFacts): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": body.contentType,
    "content-length": String(body.bytes),
    // Without it a server may compress, and what is compressed cannot be looked into.
    "accept-encoding": "identity",
    "x-request-id": requestId,
  };
  keep(client, NOT_TO_ENGINE, (name, value) => {
    if (!NOT_TO_ENGINE_BEGINNINGS.some((beginning) => name.startsWith(beginning)))
      headers[name] = typeof value === "string" ? value : value.join(", ");
  });
  if (key !== null) headers["authorization"] = `Bearer ${key}`;
  if (key !== null && dialect === "anthropic") headers["x-api-key"] = key;
  return headers;
}

/** What of an engine's headers goes to the client. */
export function headersForClient(engine: HeaderValues): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  keep(engine, NOT_TO_CLIENT, (name, value) => {
    if (!name.startsWith("access-control-")) headers[name] = typeof value === "string" ? value : [...value];
  });
  return headers;
}

/** Hands over what is neither dropped nor named by `connection`. Header names may be anything, `__proto__` too. */
function keep(
  headers: HeaderValues,
  dropped: ReadonlySet<string>,
  take: (name: string, value: string | readonly string[]) => void,
): void {
  const named = namedBy(headers["connection"]);
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value !== undefined && name !== "__proto__" && !dropped.has(name) && named?.includes(name) !== true) take(name, value);
  }
}

/** The headers that `connection` says to be of this connection; null for the usual words. */
function namedBy(connection: string | readonly string[] | undefined): readonly string[] | null {
  if (connection === undefined || connection === "keep-alive" || connection === "close") return null;
  return String(connection)
    .toLowerCase()
    .split(",")
    .map((name) => name.trim());
}
