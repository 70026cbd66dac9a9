import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { ERROR_KINDS, errorBody, QhError } from "@queen-and-hive/protocol";

/** Whatever was thrown, as an expected failure. What is none becomes `internal` and keeps its own text to the log. */
export function toQhError(error: unknown, requestId: string): QhError {
  if (error instanceof QhError) return error;
  return new QhError("internal", `cannot answer this request because of a fault of ours; our log says more under ${requestId}`, {
    cause: error,
  });
}

/** The headers of an error: whether and when to try again (the OpenAI SDKs read all three). */
export function errorHeaders(error: QhError): OutgoingHttpHeaders {
  return {
    ...(error.retryAfterS === undefined
      ? {}
      : {
          "retry-after": String(Math.max(1, Math.ceil(error.retryAfterS))),
          "retry-after-ms": String(Math.round(error.retryAfterS * 1_000)),
        }),
    ...(error.status >= 400 && !ERROR_KINDS[error.kind].retryable ? { "x-should-retry": "false" } : {}),
  };
}

/**
 * Answers with an error: the one shape and its status before the answer has begun; an `error` event where an event stream
 * runs; a cut connection, as the only thing left, in the middle of anything else.
 */
export function answerError(
  response: ServerResponse,
  error: QhError,
  requestId: string,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.destroyed || response.writableEnded) return;
  const body = JSON.stringify(errorBody(error, requestId));
  if (response.headersSent) {
    const isEventStream = String(response.getHeader("content-type") ?? "").startsWith("text/event-stream");
    if (isEventStream) response.end(`event: error\ndata: ${body}\n\n`);
    else response.destroy();
    return;
  }
  response.writeHead(error.status, {
    ...errorHeaders(error),
    ...headers,
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}
