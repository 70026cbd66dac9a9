import { closeSync, writeSync } from "node:fs";
import {
  type ErrorBody,
  errorBody,
  type HiveIdentity,
  hiveIdentitySchema,
  isErrorKind,
  lazyValidator,
  newRequestId,
  QhError,
} from "@queen-and-hive/protocol";

/** What a starting daemon says over the pipe that `hive start` holds: one line. */
export type Handshake =
  | { readonly kind: "listening"; readonly identity: HiveIdentity }
  | { readonly kind: "failed"; readonly error: QhError };

const validateIdentity = lazyValidator<HiveIdentity>(hiveIdentitySchema, "ignore");

/** Says "I am listening" or why not, and closes the pipe. Whoever waited may be gone, which changes nothing. */
export function sayHandshake(descriptor: number, handshake: Handshake): void {
  const line = handshake.kind === "listening" ? { listening: handshake.identity } : errorBody(handshake.error, newRequestId());
  try {
    writeSync(descriptor, `${JSON.stringify(line)}\n`);
    closeSync(descriptor);
  } catch {
    // EPIPE: the command that started us was killed; the daemon is none the worse.
  }
}

/** The line of a handshake -> what it says; null when it is none. */
export function parseHandshake(line: string): Handshake | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  if ("listening" in value) {
    const checked = validateIdentity(value.listening);
    return checked.ok ? { kind: "listening", identity: checked.value } : null;
  }
  if (!("error" in value)) return null;
  const { message, code, details } = (value as ErrorBody).error;
  return {
    kind: "failed",
    error: new QhError(isErrorKind(code) ? code : "internal", message, details === undefined ? {} : { details }),
  };
}
