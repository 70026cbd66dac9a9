import { isErrorKind, QhError } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";
import { fieldOf, parseJson } from "../json-field.ts";

/** Nobody answered: names method, url, and why (`ECONNREFUSED`, no answer in time). */
export function unreachableError(name: string, what: string, why: string | null, cause: unknown): QhError {
  const code = errorCodeOf(cause) ?? (cause instanceof Error ? errorCodeOf(cause.cause) : null) ?? "unknown error";
  return new QhError("peer_unreachable", `cannot reach ${name} (${what}): ${why ?? code}`, {
    cause,
    details: { peer: name, code: why === null ? code : "ETIMEDOUT" },
  });
}

/** The JSON of an answer. Throws `peer_nonsense`. */
export function answerJson(name: string, what: string, status: number, text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (cause) {
    throw nonsense(name, what, status, "its answer is not JSON", text, cause);
  }
}

/** An answer that is no success -> the failure it tells of, with its own kind and message where it is one of ours. */
export function errorOfAnswer(name: string, what: string, status: number, text: string, retryAfter: unknown): QhError {
  const said = errorIn(text);
  if (status < 400 || said === null) return nonsense(name, what, status, `it answered ${status} without an error of ours`, text);
  const { message, code, param, details } = said;
  if (!isErrorKind(code))
    return nonsense(name, what, status, `it answered ${status} with the unknown error ${JSON.stringify(code)}: ${message}`, text);
  const retryAfterS = Number(retryAfter);
  return new QhError(code, message, {
    details: { ...details, peer: name, status },
    ...(param === null ? {} : { param }),
    ...(typeof retryAfter === "string" && Number.isFinite(retryAfterS) ? { retryAfterS } : {}),
  });
}

const SHOWN_CHARACTERS_MAX = 200;

interface SaidError {
  readonly message: string;
  readonly code: string;
  readonly param: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

function errorIn(text: string): SaidError | null {
  const error = fieldOf(parseJson(text), "error");
  const [message, code, param, details] = ["message", "code", "param", "details"].map((name) => fieldOf(error, name));
  if (typeof message !== "string" || typeof code !== "string") return null;
  return {
    message,
    code,
    param: typeof param === "string" ? param : null,
    details: typeof details === "object" && details !== null ? Object.fromEntries(Object.entries(details)) : {},
  };
}

function nonsense(name: string, what: string, status: number, why: string, text: string, cause?: unknown): QhError {
  return new QhError("peer_nonsense", `cannot understand ${name} (${what}): ${why}`, {
    cause,
    details: { peer: name, status, body: text.slice(0, SHOWN_CHARACTERS_MAX) },
  });
}
