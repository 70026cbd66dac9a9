import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Caller, EndpointTable, ParamsOf, QueryOf, RequestId, RequestOf, ResponseOf } from "@queen-and-hive/protocol";

/** What is known of a request before anybody is believed; the input of authorisation. */
export interface IncomingRequestFacts {
  /** The name of the endpoint in its table. */
  readonly endpoint: string;
  readonly method: string;
  /** The path as it was asked for, without the query. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** The token of `Authorization: Bearer`, or of `x-api-key`, or null. */
  readonly token: string | null;
  readonly remoteAddress: string | null;
  /** Whether it came through a Unix socket: who can open that has been let in by the file system. */
  readonly viaUnixSocket: boolean;
  readonly requestId: RequestId;
}

/**
 * Decides who calls: an identity, or null for 401. Throws a QhError (`forbidden`) for a caller who is known but may not.
 * It is asked for every row, `anyone` included.
 */
export type Authorize<Identity> = (caller: Caller, request: IncomingRequestFacts) => Promise<Identity | null> | Identity | null;

/** Returned by a handler that has answered on `response` itself. */
export const HANDLED: unique symbol = Symbol("handled");

/** What a handler answers: JSON for a `json` row, a text for a `text` row. */
export interface HandlerAnswer<Body> {
  /** The row's status when absent. */
  readonly status?: number;
  readonly body: Body;
  readonly headers?: OutgoingHttpHeaders;
}

/** The JSON body of a row's answer; a string for a `text` row. */
export type AnswerOf<Row> = Row extends { readonly form: "text" } ? string : ResponseOf<Row>;

/** What a handler gets: the checked parts of the request and the raw pair for streams. */
export interface HandlerContext<Row, Identity> {
  readonly params: ParamsOf<Row>;
  readonly query: QueryOf<Row>;
  readonly body: RequestOf<Row>;
  readonly identity: Identity;
  readonly requestId: RequestId;
  /** Aborted with `client_closed` when the client leaves before the answer is out. */
  readonly signal: AbortSignal;
  /** Aborted with `shutting_down` when the server starts to close: long streams end themselves then. */
  readonly closing: AbortSignal;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One endpoint's code. What it throws becomes the one error shape. */
export type Handler<Row, Identity> = (
  context: HandlerContext<Row, Identity>,
) => Promise<HandlerAnswer<AnswerOf<Row>> | typeof HANDLED>;

/** A handler for every row of a table. */
export type Handlers<Table extends EndpointTable, Identity> = {
  readonly [Name in keyof Table]: Handler<Table[Name], Identity>;
};
