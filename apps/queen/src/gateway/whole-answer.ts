import { fieldOf, parseJson } from "@queen-and-hive/daemon";
import { type ErrorKind, QhError } from "@queen-and-hive/protocol";
import type { SaidError } from "../domain/stream-dialect.ts";
import type { TrafficOutcome } from "../workers/worker-directory.ts";
import type { HeaderValues } from "./forwarded-headers.ts";

/** An engine's answer that is no event stream, held whole. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: HeaderValues;
  readonly body: Buffer;
}

/** What to make of a whole answer. `traffic` feeds the worker's health; null says nothing about it. */
export type Verdict =
  /** The engine's own word, good or bad, goes to the client. */
  | { readonly kind: "deliver"; readonly traffic: TrafficOutcome | null }
  /** Another worker may do better; when there is none this is the engine's word all the same. */
  | { readonly kind: "prefer_another"; readonly error: QhError; readonly traffic: TrafficOutcome | null }
  /** No answer at all: another worker, or the error. */
  | { readonly kind: "refuse"; readonly error: QhError; readonly traffic: TrafficOutcome | null; readonly retry: boolean };

/** Longest body in which an error is looked for. */
const PARSE_BYTES_MAX = 262_144;
/** Bodies up to this size are parsed to see whether they are whole; of larger ones only the last character is looked at. */
const WHOLE_BYTES_MAX = 16_384;

/** Judges an answer; `answersJson`: the route knows no other good answers than JSON. */
export function judgeAnswer(answer: WholeAnswer, answersJson: boolean): Verdict {
  const { status } = answer;
  if (status >= 300 && status <= 399) return refuse("engine_failed", `the engine answered ${status}, a redirect`, false);
  const encoding = encodingOf(answer.headers);
  if (encoding !== null && (answersJson || status >= 400)) {
    return refuse("engine_failed", `the engine's answer is encoded with ${encoding}, which it was not asked for`, true);
  }
  if (status >= 400) return judgeError(answer);
  if (!isPlainJson(answer.headers)) {
    const type = String(answer.headers["content-type"] ?? "no content-type");
    return answersJson && !isJsonText(answer)
      ? refuse("engine_failed", `the engine answered ${type.slice(0, 80)} where JSON is due`, true)
      : GOOD;
  }
  if (isCutJson(answer)) return refuse("engine_failed", "the engine's answer is cut", true);
  const said = answersJson ? bareErrorOf(answer) : null;
  return said === null ? GOOD : refuse("engine_failed", `the engine answered ${status} with an error: ${said}`, true);
}

/** The error object of an engine's answer, or null when it has none. */
export function errorOf(answer: WholeAnswer): SaidError | null {
  const error = fieldOf(parse(answer), "error");
  return typeof error === "object" && error !== null ? { error: { ...error } } : null;
}

const GOOD: Verdict = { kind: "deliver", traffic: "ok" };

function judgeError(answer: WholeAnswer): Verdict {
  const { status } = answer;
  const says = `the engine answered ${status}`;
  if (status === 401) return refuse("engine_failed", `${says}: it does not accept the key that the queen has for it`, true);
  // These speak of the server and not of the request.
  if (status === 502 || status === 503 || status === 504) return another(says, "server_error");
  if (status === 429) return another(says, null);
  if (errorOf(answer) === null) {
    const kind = KIND_WITHOUT_WORDS[status];
    if (kind !== undefined) return refuse(kind, `${says} for this route`, false);
    if (!isPlainJson(answer.headers)) return refuse("engine_failed", `${says} without an error object`, status >= 500);
  }
  return { kind: "deliver", traffic: status >= 500 ? "server_error" : "ok" };
}

/** Statuses that say enough where the engine has no words of its own. */
const KIND_WITHOUT_WORDS: Readonly<Record<number, ErrorKind>> = {
  404: "route_not_found",
  405: "route_not_found",
  413: "body_too_large",
};

function refuse(kind: ErrorKind, why: string, retry: boolean): Verdict {
  const traffic = kind === "engine_failed" ? "server_error" : "ok";
  return { kind: "refuse", error: new QhError(kind, `cannot serve this request: ${why}`), traffic, retry };
}

function another(why: string, traffic: TrafficOutcome | null): Verdict {
  return { kind: "prefer_another", error: new QhError("engine_failed", `cannot serve this request: ${why}; try again`), traffic };
}

/**
 * An engine that dies may end its body in good order. Not where it has said before how long the body is: what is as long as
 * it was to be is looked at as closely as a large one.
 */
function isCutJson(answer: WholeAnswer): boolean {
  const { body, headers } = answer;
  if (body.length <= WHOLE_BYTES_MAX && headers["content-length"] === undefined) return parse(answer) === undefined;
  for (let at = body.length - 1; at >= 0; at -= 1) {
    const byte = body[at];
    if (byte !== SPACE && byte !== LF && byte !== CR && byte !== TAB) return byte !== BRACE && byte !== BRACKET;
  }
  return true;
}

const [SPACE, LF, CR, TAB, BRACE, BRACKET] = [32, 10, 13, 9, 125, 93];

const ERROR = Buffer.from('"error"');
const ERROR_WITHIN_BYTES = 64;

/** The message of an error that stands where the answer should be. Responses carry an `error` field of their own beside `object`. */
function bareErrorOf(answer: WholeAnswer): string | null {
  if (answer.body.subarray(0, ERROR_WITHIN_BYTES).indexOf(ERROR) < 0) return null;
  const body = parse(answer);
  const error = fieldOf(body, "error");
  if (error === undefined || error === null || fieldOf(body, "object") !== undefined || fieldOf(body, "id") !== undefined)
    return null;
  return String(fieldOf(error, "message") ?? JSON.stringify(error)).slice(0, 500);
}

/** Some engines forget the content-type. */
function isJsonText(answer: WholeAnswer): boolean {
  return answer.headers["content-type"] === undefined && parse(answer) !== undefined;
}

function isPlainJson(headers: HeaderValues): boolean {
  const isJson = /^application\/([a-z.+-]+\+)?json\b/i.test(String(headers["content-type"] ?? ""));
  return isJson && encodingOf(headers) === null;
}

/** How an answer is encoded, or null for not at all, which is what engines are asked for. */
export function encodingOf(headers: HeaderValues): string | null {
  const encoding = String(headers["content-encoding"] ?? "identity").trim();
  return encoding === "" || /^identity$/i.test(encoding) ? null : encoding.slice(0, 40);
}

/** The value of a small JSON text, or undefined when it is none or too large. */
function parse(answer: WholeAnswer): unknown {
  return answer.body.length > PARSE_BYTES_MAX ? undefined : parseJson(answer.body.toString("utf8"));
}
