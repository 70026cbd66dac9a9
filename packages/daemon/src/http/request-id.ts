import type { IncomingMessage } from "node:http";
import { newRequestId, parseRequestId, type RequestId } from "@queen-and-hive/protocol";

const idOf = new WeakMap<IncomingMessage, RequestId>();

/** The id of a request: the client's `x-request-id` when it is a sound one, else a new one; the same each time it is asked. */
export function requestIdOf(request: IncomingMessage): RequestId {
  const known = idOf.get(request);
  if (known !== undefined) return known;
  const header = request.headers["x-request-id"];
  const id = (typeof header === "string" ? parseRequestId(header) : null) ?? newRequestId();
  idOf.set(request, id);
  return id;
}
