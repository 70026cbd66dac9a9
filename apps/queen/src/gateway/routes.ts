import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ModelTask } from "../config/settings.ts";
import type { StreamDialect } from "../domain/stream-dialect.ts";

/** One way of asking a model for something. */
export interface GatewayRoute {
  /** As metrics and rows name it. */
  readonly name: string;
  /** As clients, and engines below their `/v1`, know it. */
  readonly path: string;
  readonly dialect: StreamDialect;
  /** Models with another `task` are refused; null: any model. */
  readonly tasks: readonly ModelTask[] | null;
  /** A good answer is JSON or an event stream; anything else, such as a page of HTML, is a failure. */
  readonly answersJson: boolean;
  /** Only models whose runtime lists its path are asked by it. */
  readonly isListed: boolean;
}

const route = (
  name: string,
  { path }: { readonly path: string },
  tasks: readonly ModelTask[],
  dialect: StreamDialect = "openai",
) => ({ name, path, dialect, tasks, answersJson: true, isListed: false }) satisfies GatewayRoute;

/** The routes that every model may be asked by, by their names in the endpoint table. */
export const GATEWAY_ROUTES = {
  postChatCompletions: route("chat.completions", QUEEN_ENDPOINTS.postChatCompletions, ["chat"]),
  postCompletions: route("completions", QUEEN_ENDPOINTS.postCompletions, ["chat", "completion"]),
  postEmbeddings: route("embeddings", QUEEN_ENDPOINTS.postEmbeddings, ["embedding"]),
  postResponses: route("responses", QUEEN_ENDPOINTS.postResponses, ["chat"], "responses"),
  postMessages: route("messages", QUEEN_ENDPOINTS.postMessages, ["chat"], "anthropic"),
  postRerank: route("rerank", QUEEN_ENDPOINTS.postRerank, ["rerank", "embedding"]),
} as const;

/** A route that some runtime serves beside those: what is asked and answered is between client and engine. */
export function listedRoute(path: string): GatewayRoute {
  return { name: path, path, dialect: "plain", tasks: null, answersJson: false, isListed: true };
}

/** The path of a route at an engine whose OpenAI API stands below `basePath` (`/v1` for most). */
export function enginePath(path: string, basePath: string): string {
  return path.startsWith("/v1/") ? `${basePath}${path.slice("/v1".length)}` : path;
}
