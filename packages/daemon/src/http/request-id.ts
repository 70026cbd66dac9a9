import type { IncomingMessage } from "node:http";
import { newRequestId, parseRequestId, type RequestId } from "@queen-and-hive/protocol";

const ID: unique symbol = Symbol("request id");

/** A request with its id once it was asked for; a property costs a fifth of a look into a WeakMap. */
type KnownRequest = IncomingMessage & { [ID]?: RequestId };

/** The id of a request: the client's `x-request-id` when it is a sound one, else a new one; the same each time it is asked. */
export function requestIdOf(request: KnownRequest): RequestId {
  const known = request[ID];
  if (known !== undefined) return known;
  const header = request.headers["x-request-id"];
  const id = (typeof header === "string" ? parseRequestId(header) : null) ?? newRequestId();
  request[ID] = id;
  return id;
}
