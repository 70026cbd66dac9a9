import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import {
  compileValidator,
  type EndpointDefinition,
  QhError,
  type RequestId,
  unreachable,
  type Validator,
  valueOrThrow,
} from "@queen-and-hive/protocol";
import type { Log } from "../log.ts";
import { discardRest, readJsonBody } from "./body.ts";
import { answerError, toQhError } from "./error-answer.ts";
import { type Authorize, HANDLED, type HandlerAnswer, type HandlerContext, type IncomingRequestFacts } from "./handler.ts";
import { requestIdOf } from "./request-id.ts";

/** What all endpoints of a server share. */
export interface EndpointSurroundings<Identity> {
  readonly authorize: Authorize<Identity>;
  readonly log: Log;
  readonly bodyBytes: number;
  readonly closing: AbortSignal;
  readonly onUnknownFields: (endpoint: string, count: number) => void;
  readonly onAnswer: (endpoint: string, status: number, seconds: number) => void;
}

/** A handler whose row is known only while running: every context fits it. */
export type AnyHandler<Identity> = (context: HandlerContext<never, Identity>) => Promise<HandlerAnswer<unknown> | typeof HANDLED>;

/** A row made ready to run: its schemas compiled once. */
export type EndpointRunner = (
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  params: Readonly<Record<string, string>>,
  query: unknown,
) => Promise<void>;

/** Row, handler and surroundings -> what runs for each request: authorise, check, call, answer. */
export function endpointRunner<Identity>(
  name: string,
  row: EndpointDefinition,
  handler: AnyHandler<Identity>,
  around: EndpointSurroundings<Identity>,
): EndpointRunner {
  const unknownFields = row.unknownFields === "peer" ? "ignore" : "refuse";
  const checkQuery = row.query === undefined ? null : compileValidator<unknown>(row.query, unknownFields);
  const checkBody = row.request === undefined ? null : compileValidator<unknown>(row.request, unknownFields);

  const accept = (check: Validator<unknown>, value: unknown, kind: "invalid_body" | "invalid_query"): unknown => {
    const checked = check(value);
    if (checked.ok && checked.unknownFieldCount > 0) around.onUnknownFields(name, checked.unknownFieldCount);
    return valueOrThrow(checked, kind, kind === "invalid_body" ? "the body" : "the query");
  };

  return async (request, response, path, params, rawQuery) => {
    const requestId = requestIdOf(request);
    const startedMs = performance.now();
    const onDemand = new SignalOnDemand(response);
    response.on("close", () => around.onAnswer(name, response.statusCode, (performance.now() - startedMs) / 1_000));
    try {
      const facts = factsOf(name, request, path, params, requestId);
      const identity = await around.authorize(row.caller, facts);
      if (identity === null) throw unauthenticated(row, facts);
      const query = checkQuery === null ? {} : accept(checkQuery, rawQuery, "invalid_query");
      const body =
        checkBody === null
          ? undefined
          : accept(checkBody, await readJsonBody(request, around.bodyBytes, onDemand.signal), "invalid_body");
      const parts = { params, query, body, identity, requestId, closing: around.closing, request };
      const context: unknown = Object.assign(onDemand, parts);
      const answer = await handler(context as HandlerContext<never, Identity>);
      if (answer !== HANDLED) sendAnswer(response, row, answer);
    } catch (thrown) {
      const error = toQhError(thrown, requestId);
      logFailure(around.log, error, { endpoint: name, request_id: requestId });
      answerError(response, error, requestId);
    }
    if (row.form !== "passthrough" || response.writableEnded) discardRest(request);
  };
}

/** The part of a context whose signal is made for whoever asks: most requests do without. */
class SignalOnDemand {
  readonly response: ServerResponse;
  #signal: AbortSignal | null = null;

  constructor(response: ServerResponse) {
    this.response = response;
  }

  // No getter of an object literal: V8 puts that into the old generation at once, with all that it sees of its request.
  get signal(): AbortSignal {
    this.#signal ??= clientSignal(this.response);
    return this.#signal;
  }
}

/** Aborted with `client_closed` when the connection ends before the answer is out. */
export function clientSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const closed = (): void => {
    if (!response.writableFinished) controller.abort(new QhError("client_closed", "cannot go on: the client has left"));
  };
  if (response.closed) closed();
  else response.on("close", closed);
  return controller.signal;
}

function factsOf(
  endpoint: string,
  request: IncomingMessage,
  path: string,
  params: Readonly<Record<string, string>>,
  requestId: RequestId,
): IncomingRequestFacts {
  const remoteAddress = request.socket.remoteAddress ?? null;
  const apiKey = request.headers["x-api-key"];
  return {
    endpoint,
    method: request.method ?? "",
    path,
    params,
    headers: request.headers,
    token: /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? (typeof apiKey === "string" ? apiKey : null),
    remoteAddress,
    viaUnixSocket: remoteAddress === null,
    requestId,
  };
}

function unauthenticated(row: EndpointDefinition, facts: IncomingRequestFacts): QhError {
  const why = facts.token === null ? "it has no token; send Authorization: Bearer ..." : "its token is not known here";
  return new QhError("unauthenticated", `cannot let ${row.method} ${facts.path} in: ${why}`);
}

function sendAnswer(response: ServerResponse, row: EndpointDefinition, answer: HandlerAnswer<unknown>): void {
  const [type, text] = encoded(row, answer.body);
  const headers: OutgoingHttpHeaders = { "content-type": type, "content-length": Buffer.byteLength(text), ...answer.headers };
  response.writeHead(answer.status ?? row.status, headers);
  response.end(text);
}

function encoded(row: EndpointDefinition, body: unknown): readonly [string, string] {
  switch (row.form) {
    case "json":
    case "passthrough":
      return ["application/json; charset=utf-8", JSON.stringify(body)];
    case "text":
      return ["text/plain; charset=utf-8", String(body)];
    case "sse":
      throw new Error("a handler of an event stream must answer on the response itself and return HANDLED");
    default:
      return unreachable(row.form);
  }
}

function logFailure(log: Log, error: QhError, fields: object): void {
  if (error.kind === "internal") log.error("a request failed by a fault of ours", { ...fields, error });
  else log.debug("a request was refused or failed", { ...fields, kind: error.kind, reason: error.message });
}
