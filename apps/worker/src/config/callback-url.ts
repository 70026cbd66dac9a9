import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";

/** Where a hive listens, `http(s)://host:port` or `unix:<absolute path>`; the path of the call is the endpoint's own. */
export type CallbackAddress = string;

/**
 * `HIVE_CALLBACK_URL` is the whole URL of the ready endpoint, or only the hive's address; a Unix socket is
 * `unix:/path/hive.sock`, with or without `:/v1/workers/ready` behind it. Null for anything else.
 */
export function parseCallbackUrl(text: string): CallbackAddress | null {
  const { path } = HIVE_ENDPOINTS.postWorkerReady;
  if (text.startsWith("unix:/")) return text.endsWith(`:${path}`) ? text.slice(0, -path.length - 1) : text;
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  return url.pathname === path || url.pathname === "/" ? url.origin : null;
}
