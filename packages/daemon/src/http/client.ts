import type { Agent } from "node:http";
import type { EndpointDefinition, ParamsOf, QueryOf, RequestOf } from "@queen-and-hive/protocol";
import { compileValidator, QhError, type Validator, valueOrThrow } from "@queen-and-hive/protocol";
import type { AxiosRequestConfig, AxiosResponse } from "axios";
import { Deadline } from "../deadline.ts";
import { createPeerAgent, type PeerConnect } from "./client-agent.ts";
import { answerJson, errorOfAnswer, unreachableError } from "./client-errors.ts";
import { type EventsOptions, type PeerEvent, readEvents, readText, type StreamRequest } from "./client-events.ts";
import { addressOf, targetOf } from "./client-target.ts";
import type { AnswerOf } from "./handler.ts";

/** Whom to call and within which limits. */
export interface PeerOptions {
  /** `http://host:port` or `unix:/absolute/path`. */
  readonly url: string;
  /** A function is asked for each call, so that a new token takes effect at once. */
  readonly token?: string | null | (() => string | null);
  /** For messages: `hive gpu1`. */
  readonly name: string;
  /** How long a call may take when it brings no shorter deadline. */
  readonly timeoutMs: number;
  /** Connections at the same time; further calls wait for one. */
  readonly maxSockets: number;
  /** How connections are opened; by TCP from here when absent. */
  readonly connect?: PeerConnect | undefined;
  /** The largest answer that is read; 64 MiB when absent. */
  readonly answerBytesMax?: number;
  /** Hears how many fields of an answer we do not know. */
  readonly onUnknownFields?: (path: string, count: number) => void;
}

type When<Condition extends boolean, Needed, Optional> = Condition extends true ? Needed : Optional;
type NoKeys<T> = [keyof T] extends [never] ? true : false;

/** What a call sends; parameters and body are asked for exactly where the row has them. */
export type CallOptions<Row> = {
  readonly query?: QueryOf<Row>;
  readonly requestId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly deadline?: Deadline;
  readonly signal?: AbortSignal;
} & When<NoKeys<ParamsOf<Row>>, { readonly params?: ParamsOf<Row> }, { readonly params: ParamsOf<Row> }> &
  When<RequestOf<Row> extends undefined ? true : false, { readonly body?: undefined }, { readonly body: RequestOf<Row> }>;

type Unneeding<Row> = Record<never, never> extends CallOptions<Row> ? unknown : never;

/** A typed client of one peer, on one keep-alive agent of its own. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  /**
   * Calls an endpoint and returns its checked answer. Throws the peer's own failure with its kind (status in `details`),
   * `peer_unreachable` when nobody answered, `peer_nonsense` when the answer is none, `deadline_exceeded` when the caller's
   * deadline came first, and the signal's reason.
   */
  call<Row extends EndpointDefinition>(row: Row, options: CallOptions<Row>): Promise<AnswerOf<Row>>;
  /** For rows that need no parameters and no body. */
  call<Row extends EndpointDefinition>(row: Row & Unneeding<Row>): Promise<AnswerOf<Row>>;
  /** The events of a stream, on a connection of its own; ends when the peer ends it, throws when it breaks or is aborted. */
  events<Row extends EndpointDefinition>(row: Row, options: EventsOptions<Row>): AsyncIterable<PeerEvent>;
  /** The same of an answer that is plain text, in the pieces in which it comes. */
  text<Row extends EndpointDefinition>(row: Row, options: EventsOptions<Row>): AsyncIterable<string>;
}

/** The largest answer that is read when nothing else is said. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Makes a client of one peer; nothing is sent before the first call. */
export function createPeer(options: PeerOptions): Peer {
  return new HttpPeer(options);
}

/** What a call may bring, whatever its row. */
interface LooseCallOptions {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
  readonly requestId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly deadline?: Deadline;
  readonly signal?: AbortSignal;
}

class HttpPeer implements Peer {
  readonly name: string;
  readonly url: string;
  readonly #options: PeerOptions;
  readonly #agent: Agent;
  readonly #closed = new AbortController();
  readonly #validators = new Map<EndpointDefinition, Validator<unknown>>();

  constructor(options: PeerOptions) {
    this.name = options.name;
    this.url = options.url;
    this.#options = options;
    this.#agent = createPeerAgent(options.maxSockets, options.connect);
  }

  call<Row extends EndpointDefinition>(row: Row, options?: CallOptions<Row>): Promise<AnswerOf<Row>>;
  async call(row: EndpointDefinition, options: LooseCallOptions = {}): Promise<unknown> {
    const target = targetOf(row, options.params, options.query);
    const answer = await this.#send(row, target, options);
    const text = String(answer.data);
    const what = `${row.method} ${this.url}${target}`;
    if (answer.status < 200 || answer.status >= 300)
      throw errorOfAnswer(this.name, what, answer.status, text, answer.headers["retry-after"]);
    if (row.form !== "json") return text;
    const value = answerJson(this.name, what, answer.status, text);
    if (row.response === undefined) return value;
    const checked = this.#validatorOf(row, row.response)(value);
    if (checked.ok && checked.unknownFieldCount > 0) this.#options.onUnknownFields?.(row.path, checked.unknownFieldCount);
    return valueOrThrow(checked, "peer_nonsense", `the answer of ${this.name} to ${what}`);
  }

  events<Row extends EndpointDefinition>(row: Row, options: EventsOptions<Row>): AsyncIterable<PeerEvent>;
  events(row: EndpointDefinition, options: EventsOptions<EndpointDefinition>): AsyncIterable<PeerEvent> {
    const { lastEventId } = options;
    const last: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
    return readEvents(this.#stream(row, options, { accept: "text/event-stream", ...last }));
  }

  text<Row extends EndpointDefinition>(row: Row, options: EventsOptions<Row>): AsyncIterable<string>;
  text(row: EndpointDefinition, options: EventsOptions<EndpointDefinition>): AsyncIterable<string> {
    return readText(this.#stream(row, options, { accept: "text/plain" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new QhError("peer_unreachable", `cannot call ${this.name}: this client of it has been closed`));
    this.#agent.destroy();
  }

  #stream(
    row: EndpointDefinition,
    { params, query, signal }: EventsOptions<EndpointDefinition>,
    own: Readonly<Record<string, string>>,
  ): StreamRequest {
    const target = targetOf(row, params, query);
    return {
      name: this.name,
      what: `${row.method} ${this.url}${target}`,
      request: { ...addressOf(this.url, target), headers: this.#headers({}, own) },
      beginsWithinMs: this.#options.timeoutMs,
      connect: this.#options.connect,
      signal: AbortSignal.any([signal, this.#closed.signal]),
    };
  }

  async #send(row: EndpointDefinition, target: string, options: LooseCallOptions): Promise<AxiosResponse<unknown>> {
    const own = Deadline.in(this.#options.timeoutMs);
    const deadline = options.deadline === undefined ? own : own.min(options.deadline);
    const callersSignal =
      options.signal === undefined ? this.#closed.signal : AbortSignal.any([options.signal, this.#closed.signal]);
    using signal = deadline.signal(callersSignal);
    const config = this.#configOf(row, target, options, signal);
    try {
      return await this.#withOneRetry(row, config);
    } catch (cause) {
      if (callersSignal.aborted) throw callersSignal.reason;
      if (signal.aborted && options.deadline?.expired === true) throw signal.reason;
      throw unreachableError(
        this.name,
        `${row.method} ${this.url}${target}`,
        signal.aborted ? `no answer within ${this.#options.timeoutMs} ms` : null,
        cause,
      );
    }
  }

  /** A kept connection that the peer closed while we wrote: harmless to repeat for methods that are idempotent (RFC 9110, 9.2.2). */
  async #withOneRetry(row: EndpointDefinition, config: AxiosRequestConfig<string>): Promise<AxiosResponse<unknown>> {
    // Not at the top: it takes a fifth of a daemon's start, and the first call comes after that.
    const { default: axios } = await import("axios");
    try {
      return await axios.request<unknown>(config);
    } catch (error) {
      const wasReused = axios.isAxiosError(error) && error.code === "ECONNRESET" && isReused(error.request);
      if (row.method === "POST" || !wasReused) throw error;
      return axios.request<unknown>(config);
    }
  }

  #configOf(row: EndpointDefinition, target: string, options: LooseCallOptions, signal: AbortSignal): AxiosRequestConfig<string> {
    const answerBytesMax = this.#options.answerBytesMax ?? ANSWER_BYTES_MAX;
    const own = {
      accept: row.form === "json" ? "application/json" : "*/*",
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
    };
    return {
      ...addressOf(this.url, target),
      method: row.method,
      headers: this.#headers(options, own),
      ...(options.body === undefined ? {} : { data: JSON.stringify(options.body) }),
      adapter: "http",
      httpAgent: this.#agent,
      proxy: false,
      maxRedirects: 0,
      maxContentLength: answerBytesMax,
      maxBodyLength: Number.POSITIVE_INFINITY,
      responseType: "text",
      transformRequest: [(data: unknown) => data],
      transformResponse: [(data: unknown) => data],
      validateStatus: () => true,
      signal,
    };
  }

  #headers(options: LooseCallOptions, own: Readonly<Record<string, string>>): Record<string, string> {
    const { token: given } = this.#options;
    const token = (typeof given === "function" ? given() : given) ?? null;
    return {
      ...own,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(options.requestId === undefined ? {} : { "x-request-id": options.requestId }),
      ...options.headers,
    };
  }

  #validatorOf(row: EndpointDefinition, schema: NonNullable<EndpointDefinition["response"]>): Validator<unknown> {
    const known = this.#validators.get(row);
    if (known !== undefined) return known;
    const validator = compileValidator<unknown>(schema, "ignore");
    this.#validators.set(row, validator);
    return validator;
  }
}

function isReused(request: unknown): boolean {
  return typeof request === "object" && request !== null && "reusedSocket" in request && request.reusedSocket === true;
}
