declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** The configured, stable name of a hive: 1 to 63 of `a-z 0-9 -`, starting with a letter or digit. */
export type HiveId = Branded<"HiveId">;
/** `queen-<uuid>`, made once per state directory of a queen. */
export type QueenId = Branded<"QueenId">;
/** `worker-<uuid>`, made by the queen when she decides on a worker. */
export type WorkerId = Branded<"WorkerId">;
/** `req-<uuid>`, or what the client sent as `x-request-id`. */
export type RequestId = Branded<"RequestId">;

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/** Patterns for the JSON Schemas, so that a message and a parse function cannot disagree. */
export const ID_PATTERNS = {
  hive: "^[a-z0-9][a-z0-9-]{0,62}$",
  queen: `^queen-${UUID}$`,
  worker: `^worker-${UUID}$`,
  request: "^[\\x21-\\x7e]{1,128}$",
} as const;

const compiled = {
  hive: new RegExp(ID_PATTERNS.hive),
  queen: new RegExp(ID_PATTERNS.queen),
  worker: new RegExp(ID_PATTERNS.worker),
  request: new RegExp(ID_PATTERNS.request),
};

/** Text -> HiveId, or null when it is not one. */
export function parseHiveId(text: string): HiveId | null {
  return compiled.hive.test(text) ? (text as HiveId) : null;
}

/** Text -> QueenId, or null when it is not one. */
export function parseQueenId(text: string): QueenId | null {
  return compiled.queen.test(text) ? (text as QueenId) : null;
}

/** Text -> WorkerId, or null when it is not one. */
export function parseWorkerId(text: string): WorkerId | null {
  return compiled.worker.test(text) ? (text as WorkerId) : null;
}

/** A client's `x-request-id` -> RequestId, or null when it is empty, longer than 128 or not printable ASCII. */
export function parseRequestId(text: string): RequestId | null {
  return compiled.request.test(text) ? (text as RequestId) : null;
}

/** A new random QueenId. */
export function newQueenId(): QueenId {
  return `queen-${crypto.randomUUID()}` as QueenId;
}

/** A new random WorkerId. */
export function newWorkerId(): WorkerId {
  return `worker-${crypto.randomUUID()}` as WorkerId;
}

/** A new random RequestId. */
export function newRequestId(): RequestId {
  return `req-${crypto.randomUUID()}` as RequestId;
}
