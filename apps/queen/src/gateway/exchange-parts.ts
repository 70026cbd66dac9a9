import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock, Log } from "@queen-and-hive/daemon";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import type { WorkerDirectory } from "../workers/worker-directory.ts";
import type { AnswerShare } from "./answer-budget.ts";
import type { EnginePools } from "./engine-pools.ts";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import type { GatewayRoute } from "./routes.ts";
import type { AnswerLimits, RetryLimits, StreamLimits } from "./settings.ts";
import type { TimeLimits } from "./time-limit.ts";

/** What every exchange works with. */
export interface ExchangeSurroundings {
  readonly directory: WorkerDirectory;
  readonly dispatcher: Dispatcher;
  readonly pools: EnginePools;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly stream: StreamLimits;
  readonly times: TimeLimits;
  readonly retry: RetryLimits;
  readonly limits: AnswerLimits;
}

/** One request as the server hands it over. */
export interface ExchangeRequest {
  readonly route: GatewayRoute;
  readonly requestId: string;
  /** Whose request it is, for fairness in the queue and for operators to see. */
  readonly client: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What is held of its answer. */
  readonly held: AnswerShare;
}
