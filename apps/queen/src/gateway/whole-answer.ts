import type { HeaderValues } from "./forwarded-headers.ts";

/** An engine's answer that is no event stream, held whole. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: HeaderValues;
  readonly body: Buffer;
}

/** Bodies up to this size are parsed to see whether they are whole; of larger ones only the last character is looked at. */
const PARSE_BYTES_MAX = 262_144;

/** The engine cannot serve, but another may: these statuses speak of the server and not of the request. */
export function speaksOfTheServer(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

/** Whether a successful answer that calls itself JSON was cut: an engine that dies may end its body in good order. */
export function isCutJson(answer: WholeAnswer): boolean {
  if (answer.status < 200 || answer.status > 299 || !isPlainJson(answer.headers)) return false;
  if (answer.body.length <= PARSE_BYTES_MAX) return parse(answer.body) === undefined;
  const last = answer.body.subarray(-16).toString("latin1").trimEnd().at(-1);
  return last !== "}" && last !== "]";
}

/** The error object of an engine's answer as JSON text `{"error": {...}}`, or null when it has none. */
export function errorJsonOf(answer: WholeAnswer): string | null {
  const body = answer.body.length <= PARSE_BYTES_MAX ? parse(answer.body) : undefined;
  const error: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "error") : undefined;
  return typeof error === "object" && error !== null ? JSON.stringify({ error }) : null;
}

/** We ask for no compression; what is compressed all the same is not looked into. */
function isPlainJson(headers: HeaderValues): boolean {
  const isJson = /^application\/([a-z.+-]+\+)?json\b/i.test(String(headers["content-type"] ?? ""));
  return isJson && String(headers["content-encoding"] ?? "identity") === "identity";
}

/** The value of a JSON text, or undefined when it is none. */
function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
