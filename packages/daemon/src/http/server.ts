import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type EndpointTable, QhError } from "@queen-and-hive/protocol";
import { Deadline } from "../deadline.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { discardRest } from "./body.ts";
import { Connections, remoteAddressOf } from "./connections.ts";
import { answerError, toQhError } from "./error-answer.ts";
import { lookAtFirstReads } from "./first-read.ts";
import type { Authorize, Handlers } from "./handler.ts";
import { IdentifiedResponse } from "./identified-response.ts";
import { bind, type Listen } from "./listen.ts";
import { loopShare } from "./loop-share.ts";
import { answerRaw, isParserError, onClientError } from "./raw-answer.ts";
import { requestIdOf } from "./request-id.ts";
import { createRouter, type MoreEndpoint } from "./router.ts";
import { refuseCrossSite } from "./same-site.ts";
import { endSlices, readChunksByTurns } from "./sliced-reading.ts";

/** The limits of a server. */
export interface HttpLimits {
  readonly bodyBytes: number;
  readonly headersBytes: number;
  /** Connections of one address; absent: no limit. Unix sockets do not count. */
  readonly connectionsPerIp?: number;
  /** How long a whole request (not its answer) may take to arrive; Infinity: no limit. */
  readonly requestTimeoutMs: number;
}

/** What a server is made of. */
export interface HttpServerOptions<Table extends EndpointTable, Identity> {
  readonly table: Table;
  readonly handlers: Handlers<Table, Identity>;
  /** Further endpoints that are known only while running. */
  readonly more?: readonly MoreEndpoint<Identity>[];
  readonly listen: Listen;
  readonly authorize: Authorize<Identity>;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly limits: HttpLimits;
  /** Looks at each request ahead of express, for the token routes; true: it answers itself. What it throws is answered. */
  readonly before?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Serve this machine only: Host must be a loopback name, cross-site requests are refused (403 cross_site_request). */
  readonly loopbackOnly?: boolean;
  /** Hears how many unknown fields a peer sent to an endpoint. */
  readonly onUnknownFields?: (endpoint: string, count: number) => void;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** `http://host:port` or `unix:/absolute/path`. */
  readonly url: string;
  readonly port: number | null;
  readonly server: Server;
  /** Serves a connection that came another way than through its listener; the stream has a socket's methods. */
  accept(connection: Duplex): void;
  /** Stops accepting, ends idle connections, waits for requests in flight until the deadline (5 s when absent), then cuts. */
  close(deadline?: Deadline): Promise<void>;
}

/** Starts a server for one endpoint table. Throws `port_in_use` naming the owner, or `invalid_config`. */
export async function startHttpServer<Table extends EndpointTable, Identity>(
  options: HttpServerOptions<Table, Identity>,
): Promise<RunningServer> {
  const closing = new AbortController();
  const router = createRouter(options.table, options.handlers, options.more ?? [], {
    authorize: options.authorize,
    log: options.log,
    bodyBytes: options.limits.bodyBytes,
    closing: closing.signal,
    ...observers(options),
  });
  const server = createServer({ ...serverOptions(options.limits), ServerResponse: IdentifiedResponse });
  lookAtFirstReads(server, loopShare);
  const connections = new Connections(server);
  limitConnections(server, connections, options.limits.connectionsPerIp);
  server.on("clientError", (error, socket) => {
    endSlices(socket);
    if (!isParserError(error) || !connections.closeBehindAnswers(socket)) {
      onClientError(error, socket, connections.isAnswering(socket));
    }
  });
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    connections.began(request.socket, response);
    readChunksByTurns(request, loopShare);
    prepare(request, response);
    const message = `cannot do what the header expect asks for: ${request.headers.expect}; send 100-continue or nothing`;
    refuse(options.log, request, response, new QhError("expectation_failed", message));
  });
  server.on("connect", (request: IncomingMessage, socket: Duplex) => {
    endSlices(socket);
    const message = `cannot connect to ${request.url}: this is no proxy; use the paths of its API`;
    answerRaw(socket, 405, new QhError("method_not_allowed", message));
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    connections.began(request.socket, response);
    readChunksByTurns(request, loopShare);
    serve(options, router, request, response);
  });
  const bound = await bind(server, options.listen);
  server.on("error", (error) => options.log.error("the HTTP server reports an error", { error, url: bound.url }));
  let closed: Promise<void> | null = null;
  const close = (deadline: Deadline = Deadline.in(CLOSE_MS)): Promise<void> => {
    closing.abort(new QhError("shutting_down", "cannot go on: this server is closing"));
    closed ??= closeServer(server, connections, deadline);
    return closed;
  };
  const accept = (connection: Duplex): void => {
    if (closed === null) server.emit("connection", connection);
    else connection.destroy();
  };
  return { ...bound, server, accept, close, [Symbol.asyncDispose]: () => close() };
}

/** Longer than the keep-alive of the usual clients and balancers (60 s): they close first, so no request meets a reset. */
const KEEP_ALIVE_MS = 75_000;
/** A client that sends its headers byte by byte (slow-loris) is looked for every second. */
const HEADERS_MS = 10_000;
const CHECK_EVERY_MS = 1_000;
const CLOSE_MS = 5_000;

function serverOptions({ headersBytes, requestTimeoutMs }: HttpLimits): Parameters<typeof createServer>[0] {
  return {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: Math.min(HEADERS_MS, requestTimeoutMs),
    connectionsCheckingInterval: CHECK_EVERY_MS,
    // 0 is Node's word for no limit.
    requestTimeout: requestTimeoutMs === Number.POSITIVE_INFINITY ? 0 : requestTimeoutMs,
    maxHeaderSize: headersBytes,
    noDelay: true,
    // Node would answer without a body; `serve` checks instead.
    requireHostHeader: false,
  };
}

function serve<Table extends EndpointTable, Identity>(
  options: HttpServerOptions<Table, Identity>,
  router: (request: IncomingMessage, response: ServerResponse) => void,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  try {
    prepare(request, response);
    // RFC 9112, 3.2: HTTP/1.1 has one.
    if (request.httpVersion === "1.1" && request.headers.host === undefined) {
      throw new QhError("invalid_header", "cannot take the request: it has no header host", { param: "host" });
    }
    if (options.loopbackOnly === true && remoteAddressOf(request.socket) !== undefined) refuseCrossSite(request);
    if (options.before?.(request, response) === true) return;
    router(request, response);
  } catch (thrown) {
    refuse(options.log, request, response, thrown);
  }
}

function prepare(request: IncomingMessage, response: ServerResponse): void {
  // A client that resets its connection is an everyday event; without a listener it would end the process.
  request.on("error", () => undefined);
  response.on("error", () => undefined);
}

function refuse(log: Log, request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const requestId = requestIdOf(request);
  const error = toQhError(thrown, requestId);
  if (error.kind === "internal") log.error("a request failed by a fault of ours", { error, request_id: requestId });
  answerError(response, error, requestId);
  discardRest(request);
}

function observers<Table extends EndpointTable, Identity>({ metrics, onUnknownFields }: HttpServerOptions<Table, Identity>) {
  const seconds = metrics?.histogram("http_request_duration_seconds", "Time from a request's headers to the end of its answer.", [
    "endpoint",
    "status",
  ]);
  const answered = metrics?.gathered<Answered>((entries) => {
    for (const { endpoint, status, tookS } of entries) seconds?.observe({ endpoint, status }, tookS);
  });
  const unknown = metrics?.counter("http_unknown_fields_total", "Fields of peers' messages that we do not know.", ["endpoint"]);
  return {
    onAnswer: (endpoint: string, status: number, tookS: number): void => answered?.({ endpoint, status, tookS }),
    onUnknownFields: (endpoint: string, count: number): void => {
      unknown?.inc({ endpoint }, count);
      onUnknownFields?.(endpoint, count);
    },
  };
}

interface Answered {
  readonly endpoint: string;
  readonly status: number;
  readonly tookS: number;
}

function limitConnections(server: Server, connections: Connections, perIp: number | undefined): void {
  if (perIp === undefined) return;
  server.on("connection", (socket) => {
    if (connections.countOf(remoteAddressOf(socket)) <= perIp) return;
    answerRaw(
      socket,
      429,
      new QhError("queue_full", `cannot take another connection: this address has ${perIp} already`, { retryAfterS: 1 }),
    );
  });
}

async function closeServer(server: Server, connections: Connections, deadline: Deadline): Promise<void> {
  const gone = new Promise<void>((resolve) => server.close(() => resolve()));
  connections.endWhenIdle();
  using atDeadline = deadline.signal();
  if (atDeadline.aborted) connections.destroyAll();
  else atDeadline.addEventListener("abort", () => connections.destroyAll(), { once: true });
  await gone;
  // A server that listens nowhere says at once that it is closed, whatever it still serves.
  await connections.allClosed();
}
