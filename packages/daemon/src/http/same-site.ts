import type { IncomingMessage } from "node:http";
import { QhError } from "@queen-and-hive/protocol";

/** Whether a host name (without port) can only mean this machine. */
export function isLoopbackName(name: string): boolean {
  const bare = name.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return bare === "localhost" || bare.endsWith(".localhost") || bare === "::1" || /^127(\.\d{1,3}){3}$/.test(bare);
}

/**
 * Refuses what a web page of elsewhere can make a browser send to a server without keys: a Host that is no loopback name
 * (DNS rebinding), a cross-site Origin, a cross-site Sec-Fetch-Site. Throws `cross_site_request`.
 */
export function refuseCrossSite(request: IncomingMessage): void {
  const host = request.headers.host ?? "";
  if (host !== lastLoopbackHost) {
    if (!isLoopbackName(host.replace(/:\d+$/, ""))) throw refusedHost(host);
    lastLoopbackHost = host;
  }
  const origin = request.headers.origin;
  if (origin !== undefined && !isLoopbackOrigin(origin)) throw refused(`it comes from the web page ${origin}`);
  if (request.headers["sec-fetch-site"] === "cross-site") throw refused("the browser says that another web site sent it");
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && isLoopbackName(new URL(origin).hostname);
}

/** The Host that was looked at last and found good: nearly every request has the same. */
let lastLoopbackHost: string | null = null;

function refusedHost(host: string): QhError {
  return refused(
    `the Host ${JSON.stringify(host)} is not a name of this machine such as localhost; without keys only this machine is served`,
  );
}

function refused(why: string): QhError {
  return new QhError("cross_site_request", `cannot take this request: ${why}`);
}
