import type { QueenSettings } from "../config/settings.ts";

/** The gateway's limits; times in milliseconds, Infinity is off. */
export interface GatewaySettings {
  readonly queue: {
    /** Requests that may wait for one model. */
    readonly maxWaiting: number;
    /** How long one may wait for a free slot. */
    readonly maxWaitMs: number;
    /** How long one may wait for the model to load. */
    readonly loadWaitMs: number;
    /** How many conversations of a model are remembered with the worker that knows their prompt. */
    readonly sessionsKept: number;
  };
  readonly stream: StreamLimits;
  /** Largest body of a request. */
  readonly bodyBytes: number;
  /** The bodies of all open requests together. */
  readonly bodiesBytes: number;
  /** What is held of the answers of all open requests together. */
  readonly answersBytes: number;
  /** How long a body may take to arrive. */
  readonly receiveMs: number;
  /** Trying again while no byte of an answer has reached the client. */
  readonly retry: RetryLimits;
  /** What is held in memory of an answer. */
  readonly answer: AnswerLimits;
}

/** What of the configuration concerns the gateway. */
export function gatewaySettings({ queue, stream, retry, limits }: QueenSettings): GatewaySettings {
  const answer = { wholeBytes: limits.wholeAnswerBytes, eventBytes: limits.eventBytes };
  const { bodyBytes, bodiesBytes, answersBytes, receiveMs } = limits;
  return { queue, stream, retry, bodyBytes, bodiesBytes, answersBytes, receiveMs, answer };
}

/** The limits of one exchange with an engine. */
export interface StreamLimits {
  /** Silence after which the headers of a stream are sent although the engine has not begun. */
  readonly commitAfterMs: number;
  readonly connectMs: number;
  /** From the request sent to the first byte of the answer's body. */
  readonly firstByteMs: number;
  /** Between two bytes of an answer; also how long a client may refuse to read. */
  readonly idleMs: number;
  /** From the arrival of the request to the end of its answer. */
  readonly totalMs: number;
  /** Silence after which a comment keeps the connection alive. */
  readonly keepAliveMs: number;
}

/** How often, and how patiently, a request is tried. */
export interface RetryLimits {
  readonly attempts: number;
  /** How long a request whose worker has failed hopes for another one before the failure is said. */
  readonly waitMs: number;
}

/** How much of an answer is held in memory. */
export interface AnswerLimits {
  /** An answer that is no event stream is held whole up to this size, so that a cut one becomes an error and not half a body. */
  readonly wholeBytes: number;
  /** The largest single event of a stream. */
  readonly eventBytes: number;
}
