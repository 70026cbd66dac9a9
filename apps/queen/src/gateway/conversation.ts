import type { IncomingMessage } from "node:http";
import { sessionKeyOf, sessionKeyOfName } from "../domain/session-key.ts";
import type { GatewayRoute } from "./routes.ts";

/** What a request's conversation is known by, so that it goes where its prompt is cached; null where nothing is cached. */
export function conversationOf(
  request: Pick<IncomingMessage, "headers">,
  route: GatewayRoute,
  chunks: readonly Uint8Array[],
): number | null {
  const said = request.headers["x-session-id"];
  if (typeof said === "string" && said !== "") return sessionKeyOfName(said);
  // Embeddings and the like leave nothing in a cache.
  return route.tasks === null || route.tasks.includes("chat") ? sessionKeyOf(chunks) : null;
}
