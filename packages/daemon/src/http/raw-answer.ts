import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { errorBody, newRequestId, QhError } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";
import { errorHeaders } from "./error-answer.ts";

/** Writes an error answer on a connection that has no request (yet), and ends it. */
export function answerRaw(socket: Duplex, status: number, error: QhError): void {
  if (!socket.writable || socket.destroyed) {
    socket.destroy();
    return;
  }
  const requestId = newRequestId();
  const body = JSON.stringify(errorBody(error, requestId));
  const headers = Object.entries({
    ...errorHeaders(error),
    "x-request-id": requestId,
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on("error", () => undefined);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${headers.join("")}\r\n${body}`, () => socket.destroy());
}

/** What came is no HTTP, or does not come to its end; anything else tells of the connection. */
export function isParserError(error: Error): boolean {
  const code = errorCodeOf(error) ?? "";
  return code.startsWith("HPE_") || code === "ERR_HTTP_REQUEST_TIMEOUT";
}

/**
 * Answers what Node's parser refused: too large headers, too slow a request, or no HTTP at all. A connection on which an
 * answer has begun is cut: what came now would read as a part of that.
 */
export function onClientError(error: Error, socket: Duplex, hasBegunAnswer: boolean): void {
  if (hasBegunAnswer) {
    socket.destroy();
    return;
  }
  switch (errorCodeOf(error)) {
    case "ECONNRESET":
      socket.destroy();
      return;
    case "HPE_HEADER_OVERFLOW":
      answerRaw(socket, 431, new QhError("headers_too_large", "cannot take the request: its headers are too large"));
      return;
    case "ERR_HTTP_REQUEST_TIMEOUT":
      answerRaw(socket, 408, new QhError("request_timeout", "cannot take the request: it did not arrive in time"));
      return;
    default:
      answerRaw(socket, 400, new QhError("invalid_body", "cannot take the request: it is not HTTP"));
  }
}
