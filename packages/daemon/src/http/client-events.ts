import type { Agent } from "node:http";
import { Readable } from "node:stream";
import type { ParamsOf, QueryOf } from "@queen-and-hive/protocol";
import type { AxiosRequestConfig } from "axios";
import { createParser } from "eventsource-parser";
import { Deadline } from "../deadline.ts";
import { createPeerAgent, type PeerConnect } from "./client-agent.ts";
import { errorOfAnswer, unreachableError } from "./client-errors.ts";

/** One event of a peer's stream. */
export interface PeerEvent {
  readonly id?: string;
  readonly event?: string;
  readonly data: string;
}

/** Which events to read. */
export interface EventsOptions<Row> {
  readonly params?: ParamsOf<Row>;
  readonly query?: QueryOf<Row>;
  /** Where to go on, as `Last-Event-ID`. */
  readonly lastEventId?: string;
  readonly signal: AbortSignal;
}

/** A stream to be opened. */
export interface StreamRequest {
  readonly name: string;
  /** Method and url, for messages. */
  readonly what: string;
  readonly request: AxiosRequestConfig;
  /** How long the headers of the answer may take. */
  readonly beginsWithinMs: number;
  readonly connect: PeerConnect | undefined;
  readonly signal: AbortSignal;
}

/** The largest single event that is read; a snapshot of thousands of workers stays far below. */
export const EVENT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Opens a stream on a connection of its own and yields its events. Returns when the peer ends the stream; throws
 * `peer_unreachable` when it breaks, what the peer says when it refuses, and the signal's reason.
 */
export function readEvents(wanted: StreamRequest): AsyncGenerator<PeerEvent, void, undefined> {
  return readStream(wanted, parsedEvents);
}

/** The same of plain text, as it comes. */
export function readText(wanted: StreamRequest): AsyncGenerator<string, void, undefined> {
  return readStream(wanted, plainText);
}

async function* readStream<Part>(
  wanted: StreamRequest,
  partsOf: (body: Readable) => AsyncGenerator<Part, void, undefined>,
): AsyncGenerator<Part, void, undefined> {
  const { name, what, signal } = wanted;
  const agent = createPeerAgent(1, wanted.connect);
  try {
    const body = await open(wanted, agent);
    const onAbort = (): void => void body.destroy();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal.aborted) throw signal.reason;
      yield* partsOf(body);
    } catch (cause) {
      throw cause instanceof Error && !signal.aborted ? unreachableError(name, what, null, cause) : cause;
    } finally {
      signal.removeEventListener("abort", onAbort);
      body.destroy();
    }
    if (signal.aborted) throw signal.reason;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    agent.destroy();
  }
}

const REFUSAL_BYTES_MAX = 64 * 1024;

async function open({ name, what, request, beginsWithinMs, signal }: StreamRequest, agent: Agent): Promise<Readable> {
  using begins = Deadline.in(beginsWithinMs).signal(signal);
  // Late, as in client.ts.
  const { default: axios } = await import("axios");
  try {
    const answer = await axios.request<unknown>({
      ...request,
      adapter: "http",
      httpAgent: agent,
      proxy: false,
      maxRedirects: 0,
      responseType: "stream",
      decompress: false,
      validateStatus: () => true,
      signal: begins,
    });
    if (!(answer.data instanceof Readable)) throw new Error("an answer that is asked for as a stream is one");
    const body = answer.data.setEncoding("utf8");
    if (answer.status === 200) return body;
    throw errorOfAnswer(name, what, answer.status, await textOf(body), answer.headers["retry-after"]);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!axios.isAxiosError(cause) && !begins.aborted) throw cause;
    throw unreachableError(name, what, begins.aborted ? `no answer within ${beginsWithinMs} ms` : null, cause);
  }
}

async function* plainText(body: Readable): AsyncGenerator<string, void, undefined> {
  for await (const chunk of body) yield String(chunk);
}

async function* parsedEvents(body: Readable): AsyncGenerator<PeerEvent, void, undefined> {
  let arrived: PeerEvent[] = [];
  const parser = createParser({
    maxBufferSize: EVENT_BYTES_MAX,
    onEvent: ({ id, event, data }) => {
      arrived.push({ ...(id === undefined ? {} : { id }), ...(event === undefined ? {} : { event }), data });
    },
    onError: (error) => body.destroy(error),
  });
  for await (const chunk of body) {
    parser.feed(String(chunk));
    const ready = arrived;
    arrived = [];
    yield* ready;
  }
}

async function textOf(body: Readable): Promise<string> {
  let text = "";
  for await (const chunk of body) {
    text += String(chunk);
    if (text.length > REFUSAL_BYTES_MAX) break;
  }
  return text;
}
