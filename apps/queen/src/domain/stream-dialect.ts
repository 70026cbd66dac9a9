import { unreachable } from "@queen-and-hive/protocol";

/**
 * How an event stream of a route ends, well or not: OpenAI's chats, OpenAI's responses, Anthropic's messages; `plain` for an
 * engine's own routes, whose streams may end without a last word.
 */
export type StreamDialect = "openai" | "responses" | "anthropic" | "plain";

/**
 * Events whose end is the end of a stream, by their names; `[DONE]` ends a stream of any dialect. Sources: OpenAI's and
 * Anthropic's streaming references.
 */
export const LAST_EVENTS: Readonly<Record<StreamDialect, readonly string[]>> = {
  openai: [],
  plain: [],
  responses: ["response.completed", "response.failed", "response.incomplete"],
  anthropic: ["message_stop"],
};

/** An error object as the queen or an engine says it. */
export interface SaidError {
  readonly error: Readonly<Record<string, unknown>>;
}

/** The last bytes of a stream that fails after it has begun. `said` is null when the engine has said one already. */
export function lastWords(dialect: StreamDialect, said: SaidError | null): string {
  switch (dialect) {
    case "openai":
      return `${said === null ? "" : `data: ${JSON.stringify(said)}\n\n`}data: [DONE]\n\n`;
    case "plain":
      return said === null ? "" : `data: ${JSON.stringify(said)}\n\n`;
    case "responses": {
      if (said === null) return "";
      const { code = null, message, param = null } = said.error;
      return `event: error\ndata: ${JSON.stringify({ type: "error", code, message, param, ...said })}\n\n`;
    }
    case "anthropic":
      return said === null ? "" : `event: error\ndata: ${JSON.stringify({ type: "error", ...said })}\n\n`;
    default:
      return unreachable(dialect);
  }
}
