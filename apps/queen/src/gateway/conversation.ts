import { sessionKeyOf } from "../domain/session-key.ts";
import type { ExchangeRequest } from "./exchange-parts.ts";
import type { InferenceRequest } from "./inference-request.ts";

/** What a request's conversation is known by, so that it goes where its prompt is cached; null where nothing is cached. */
export function conversationOf({ request, route }: ExchangeRequest, { chunks }: InferenceRequest): string | number | null {
  const said = request.headers["x-session-id"];
  if (typeof said === "string" && said !== "") return said;
  // Embeddings and the like leave nothing in a cache.
  return route.tasks === null || route.tasks.includes("chat") ? sessionKeyOf(chunks) : null;
}
