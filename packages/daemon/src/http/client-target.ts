import { type EndpointDefinition, QhError } from "@queen-and-hive/protocol";

/** Path parameters and query put into a row's path: `/v1/workers/worker-1/logs?tail=50`. */
export function targetOf(row: EndpointDefinition, params: unknown, query: unknown): string {
  const values = new Map<string, unknown>(Object.entries(params ?? {}));
  const path = row.path
    .split("/")
    .map((part) => (part.startsWith(":") ? filled(row, part.slice(1), values) : part))
    .join("/");
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) search.append(name, String(value));
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}

/** A peer's url and a target -> what axios and node:http need: a URL, and the socket's path for `unix:`. */
export function addressOf(peerUrl: string, target: string): { readonly url: string; readonly socketPath?: string } {
  if (!peerUrl.startsWith(UNIX)) return { url: peerUrl.replace(/\/$/, "") + target };
  return { url: `http://localhost${target}`, socketPath: peerUrl.slice(UNIX.length) };
}

const UNIX = "unix:";

function filled(row: EndpointDefinition, name: string, values: ReadonlyMap<string, unknown>): string {
  const value = values.get(name);
  if (typeof value !== "string" || value === "") throw new Error(`${row.method} ${row.path} needs the parameter ${name}`);
  // Every URL parser resolves a lone dot or two away, also when they are encoded (WHATWG URL): another path would be asked for.
  if (value === "." || value === "..")
    throw new QhError("invalid_query", `cannot call ${row.path} with ${name}=${value}: no URL can say that`);
  return encodeURIComponent(value);
}
