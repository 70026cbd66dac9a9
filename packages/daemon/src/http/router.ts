import type { IncomingMessage, ServerResponse } from "node:http";
import { type EndpointDefinition, type EndpointTable, QhError } from "@queen-and-hive/protocol";
import express, { type NextFunction, type Request, type Response } from "express";
import { discardRest } from "./body.ts";
import { type EndpointSurroundings, endpointRunner } from "./endpoint-runner.ts";
import { answerError, toQhError } from "./error-answer.ts";
import type { Handler, Handlers } from "./handler.ts";
import { requestIdOf } from "./request-id.ts";

/** An endpoint that is in no table. */
export interface MoreEndpoint<Identity> {
  readonly name: string;
  readonly row: EndpointDefinition;
  readonly handler: Handler<EndpointDefinition, Identity>;
}

/** What answers a request. */
export type Router = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * One route for each row of a table, and our own 404 and 405. Express finds the route, except for a request whose target is
 * literally the path of a row: that takes a look into a map, a twentieth of what a chat costs in all.
 */
export function createRouter<Table extends EndpointTable, Identity>(
  table: Table,
  handlers: Handlers<Table, Identity>,
  more: readonly MoreEndpoint<Identity>[],
  around: EndpointSurroundings<Identity>,
): Router {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("case sensitive routing", true);

  // Fixed words before parameters: /v1/workers/ready is no worker id.
  const known = Object.entries(table).map(([name, row]) => ({ name, row, handler: handlers[name] }));
  const rows = [...known, ...more].sort(
    ({ row: left }, { row: right }) => parameterCount(left.path) - parameterCount(right.path),
  );
  const literal = new Map<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>>();
  for (const { name, row, handler } of rows) {
    if (handler === undefined) throw new Error(`the endpoint ${name} has no handler`);
    const run = endpointRunner<Identity>(name, row, handler, around);
    app[METHODS[row.method]](row.path, (request: Request, response: Response) =>
      run(request, response, request.path, textParams(request.params), request.query),
    );
    if (parameterCount(row.path) > 0) continue;
    literal.set(`${row.method} ${row.path}`, (request, response) => run(request, response, row.path, {}, {}));
  }

  const allowed = new WeakMap<Request, string[]>();
  for (const path of new Set(rows.map(({ row }) => row.path))) {
    const methods = rows.filter(({ row }) => row.path === path).map(({ row }) => row.method);
    app.all(path, (request: Request, _response: Response, next: NextFunction) => {
      allowed.set(request, [...(allowed.get(request) ?? []), ...methods]);
      next();
    });
  }
  app.use((request: Request, response: Response) => refuse(request, response, new Set(allowed.get(request))));
  const fail = (thrown: unknown, request: IncomingMessage, response: ServerResponse): void => {
    const requestId = requestIdOf(request);
    const error = isBadPath(thrown)
      ? new QhError("route_not_found", `cannot read the path ${request.url ?? ""}`)
      : toQhError(thrown, requestId);
    if (error.kind === "internal") around.log.error("a request failed by a fault of ours", { error, request_id: requestId });
    answerError(response, error, requestId);
    discardRest(request);
  };
  app.use((thrown: unknown, request: Request, response: Response, _next: NextFunction) => fail(thrown, request, response));
  return (request, response) => {
    const run = literal.get(`${request.method ?? ""} ${request.url ?? ""}`);
    if (run === undefined) {
      // Express makes an answer of its own class of it.
      response.setHeader("x-request-id", requestIdOf(request));
      app(request, response);
    } else run(request, response).catch((thrown: unknown) => fail(thrown, request, response));
  };
}

const METHODS = { GET: "get", POST: "post", PUT: "put", DELETE: "delete" } as const;

function parameterCount(path: string): number {
  return path.split("/").filter((part) => part.startsWith(":") || part.startsWith("*")).length;
}

function textParams(params: Readonly<Record<string, string | string[]>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, typeof value === "string" ? value : value.join("/")]),
  );
}

function refuse(request: Request, response: Response, allow: ReadonlySet<string>): void {
  const what = `${request.method} ${request.path}`;
  const error =
    allow.size > 0
      ? new QhError("method_not_allowed", `cannot ${what}: this path takes ${[...allow].join(", ")}`)
      : new QhError("route_not_found", `cannot ${what}: there is no such route`);
  answerError(response, error, requestIdOf(request), allow.size > 0 ? { allow: [...allow].join(", ") } : {});
  discardRest(request);
}

/** The router throws a URIError of its own for a path such as `/%zz`. */
function isBadPath(thrown: unknown): boolean {
  return thrown instanceof URIError;
}
