import type { ServerResponse } from "node:http";

/** One JSON answer. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** One error in OpenAI's shape. */
export function sendError(response: ServerResponse, status: number, code: string, message: string): void {
  sendJson(response, status, { error: { message, type: status < 500 ? "invalid_request_error" : "server_error", code } });
}
