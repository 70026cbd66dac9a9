import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, type Deadline, HANDLED, type Log, type Metrics } from "@queen-and-hive/daemon";
import { type OpenRequest, QhError, type RequestId } from "@queen-and-hive/protocol";
import { Dispatcher } from "../dispatch/dispatcher.ts";
import type { WorkerDirectory } from "../workers/worker-directory.ts";
import { AnswerBudget } from "./answer-budget.ts";
import { BodyBudget } from "./body-budget.ts";
import { EnginePools } from "./engine-pools.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeSurroundings } from "./exchange-parts.ts";
import { createGatewayMetrics } from "./gateway-metrics.ts";
import { readInferenceRequest } from "./inference-request.ts";
import { type AllowedModels, ModelCatalog, type ModelName } from "./model-names.ts";
import { OpenExchanges } from "./open-exchanges.ts";
import type { RequestRow } from "./request-row.ts";
import { GATEWAY_ROUTES, type GatewayRoute, listedRoute } from "./routes.ts";
import type { GatewaySettings } from "./settings.ts";
import { createTimeLimits } from "./time-limit.ts";

/** What the gateway is made of. */
export interface GatewayParts<Identity> {
  readonly directory: WorkerDirectory;
  readonly models: readonly ModelName[];
  readonly settings: GatewaySettings;
  readonly allowedModels: (identity: Identity) => AllowedModels;
  /** Whose a request is: the slots of a model are shared fairly between clients. */
  readonly clientOf: (identity: Identity) => string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Takes one row for each request that has ended. */
  readonly recordRequest: (row: RequestRow) => void;
}

/** What the gateway needs of a request; the context of the daemon's HTTP server fits it. */
export interface GatewayContext<Identity> {
  readonly identity: Identity;
  readonly requestId: RequestId;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One inference route. Throws a QhError as long as nothing was sent. */
export type GatewayHandler<Identity> = (context: GatewayContext<Identity>) => Promise<typeof HANDLED>;

/** The way of requests from clients to workers and back. */
export interface Gateway<Identity> {
  readonly handlers: { readonly [Name in keyof typeof GATEWAY_ROUTES]: GatewayHandler<Identity> };
  /** Handlers of the routes that only some runtimes serve, by their paths. */
  readonly listed: ReadonlyMap<string, GatewayHandler<Identity>>;
  /** New requests are answered with 503 `shutting_down` and this `Retry-After` from now on. */
  refuse(retryAfterS: number): void;
  /**
   * Resolves when no request is open. Those that wait for a model to load are refused at once, the others may go on until
   * shortly before the deadline; then each is ended well-formed (503, or an error event and `[DONE]`).
   */
  drain(deadline: Deadline): Promise<void>;
  /** Requests that have arrived and not ended. */
  activeCount(): number;
  /** The same, oldest first. */
  requests(): readonly OpenRequest[];
  /** Ends the open requests of this id with `request_cancelled`; says how many they were. */
  cancel(requestId: string): number;
  /** Requests that a worker serves now. */
  inFlight(workerId: string): number;
  /** When a worker gave back its last request, monotonic milliseconds; null when it has served none. */
  lastUsedMs(workerId: string): number | null;
  /** Requests that wait for a model. */
  waiting(modelId: string): number;
  /** Ends what is open and closes all connections to workers. */
  close(): Promise<void>;
}

/** What drain keeps back of its deadline, for the last bytes to reach the clients. */
const FLUSH_MS = 500;
/** Advice to clients whose request was ended by a stop: somebody may start the queen again. */
const STOPPED_RETRY_AFTER_S = 5;

/** Makes the gateway. It listens to the directory's changes until `close`. */
export function createGateway<Identity>(parts: GatewayParts<Identity>): Gateway<Identity> {
  const { directory, settings, clock, log } = parts;
  const { stream, retry } = settings;
  const metrics = createGatewayMetrics(parts.metrics);
  const catalog = new ModelCatalog(parts.models);
  const pools = new EnginePools({ connectMs: stream.connectMs, connectionsChanged: metrics.connections });
  const limits = { ...settings.queue, retryWaitMs: retry.waitMs };
  const dispatcher = new Dispatcher({ directory, limits, clock, depthChanged: metrics.queueDepth });
  const times = createTimeLimits(clock, stream, settings.receiveMs);
  const around: ExchangeSurroundings = {
    ...{ directory, dispatcher, pools, metrics, log, clock, stream, times, retry },
    limits: settings.answer,
  };
  const open = new OpenExchanges();
  const changes = directory.changes.subscribe((modelId) => {
    for (const exchange of open) exchange.reconsider(modelId);
  });
  const bodies = new BodyBudget(settings.bodiesBytes);
  const answers = new AnswerBudget(settings.answersBytes);
  const common = new Set<string>(Object.values(GATEWAY_ROUTES).map(({ path }) => path));
  const listedPaths = [...new Set(parts.models.flatMap((model) => model.routes))].filter((path) => !common.has(path));
  let refusal: QhError | null = null;

  const handler =
    (route: GatewayRoute): GatewayHandler<Identity> =>
    async ({ identity, requestId, request, response }) => {
      if (refusal !== null) throw refusal;
      using held = answers.open();
      const exchange = new Exchange(around, {
        held,
        route,
        requestId,
        client: parts.clientOf(identity),
        request,
        response,
      });
      metrics.started();
      const leave = open.enter(exchange);
      using share = bodies.open();
      try {
        const allowed = parts.allowedModels(identity);
        await exchange.run((ending) =>
          readInferenceRequest(request, { route, catalog, allowed, bodyBytes: settings.bodyBytes, share, signal: ending }),
        );
        return HANDLED;
      } finally {
        leave();
        const { row, overheadMs } = exchange;
        parts.recordRequest(row);
        metrics.ended(row, overheadMs);
      }
    };

  return {
    handlers: {
      postChatCompletions: handler(GATEWAY_ROUTES.postChatCompletions),
      postCompletions: handler(GATEWAY_ROUTES.postCompletions),
      postEmbeddings: handler(GATEWAY_ROUTES.postEmbeddings),
      postResponses: handler(GATEWAY_ROUTES.postResponses),
      postMessages: handler(GATEWAY_ROUTES.postMessages),
      postRerank: handler(GATEWAY_ROUTES.postRerank),
    },
    listed: new Map(listedPaths.map((path) => [path, handler(listedRoute(path))])),
    refuse: (retryAfterS) => {
      refusal = stopping(retryAfterS);
    },
    drain: async (deadline) => {
      refusal ??= stopping(STOPPED_RETRY_AFTER_S);
      dispatcher.refuseLoads(refusal);
      await open.emptyBy(deadline.earlier(FLUSH_MS));
      for (const exchange of open) exchange.end(refusal);
      await open.emptyBy(deadline);
      for (const exchange of open) exchange.cut();
      await open.empty();
    },
    activeCount: () => open.size,
    requests: () => [...open].map((exchange) => exchange.record),
    cancel: (requestId) => {
      const meant = [...open].filter((exchange) => exchange.record.request_id === requestId);
      const message = "cannot finish the answer: an operator has cancelled the request";
      for (const exchange of meant) exchange.end(new QhError("request_cancelled", message));
      return meant.length;
    },
    inFlight: (workerId) => dispatcher.inFlight(workerId),
    lastUsedMs: (workerId) => dispatcher.lastUsedMs(workerId),
    waiting: (modelId) => dispatcher.waiting(modelId),
    close: async () => {
      refusal ??= stopping(STOPPED_RETRY_AFTER_S);
      for (const exchange of open) exchange.end(refusal);
      changes[Symbol.dispose]();
      dispatcher[Symbol.dispose]();
      await open.empty();
      times[Symbol.dispose]();
      await pools.close();
    },
  };
}

function stopping(retryAfterS: number): QhError {
  return new QhError("shutting_down", "cannot serve the request: the queen is stopping; try again later", { retryAfterS });
}
