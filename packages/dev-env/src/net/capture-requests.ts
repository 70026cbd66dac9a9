import { once } from "node:events";
import {
  Agent,
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { text } from "node:stream/consumers";
import { freePort } from "./free-port.ts";

/** A request that passed the proxy, or was dropped by it. */
export interface CapturedRequest {
  readonly method: string;
  /** Path with query. */
  readonly url: string;
  readonly atMs: number;
  /** The status of the answer; null when there was none (yet). */
  status: number | null;
  readonly dropped: boolean;
}

/** Which requests a rule is about. */
export type RequestFilter = (request: { readonly method: string; readonly url: string }) => boolean;

/** An HTTP proxy in front of one server, which counts what passes and can lose some of it. */
export interface RequestCapture extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly CapturedRequest[];
  /** How many requests that match have arrived, dropped ones included. */
  count(filter: RequestFilter): number;
  /** Loses what matches (the connection is cut, the target never hears of it) until the rule is disposed. */
  drop(filter: RequestFilter): Disposable;
  /** Passes what matches on to the target, then cuts the connection instead of answering: the sender cannot know. */
  dropAnswers(filter: RequestFilter): Disposable;
  /** Passes what matches on to the target, and keeps its answer back until the rule is disposed. */
  holdAnswers(filter: RequestFilter): Disposable;
  /** Sends everything to another address from now on, for a target that came back elsewhere. */
  retarget(url: string): void;
}

/** How a proxy is made; everything has a default. */
export interface CaptureOptions {
  /** Where it listens; any free port when not given. */
  readonly port?: number;
  /** A text that is replaced in the bodies of requests: an address that stands in the way of another proxy. */
  readonly rewrite?: { readonly from: string; readonly to: string };
}

interface Rules {
  readonly drop: Set<RequestFilter>;
  readonly dropAnswers: Set<RequestFilter>;
  /** Each with what resolves when it is disposed. */
  readonly holdAnswers: Map<RequestFilter, Promise<void>>;
}

/** Starts one in front of `target` (`http://host:port`) on 127.0.0.1. */
export async function captureRequests(target: string, options: CaptureOptions = {}): Promise<RequestCapture> {
  const requests: CapturedRequest[] = [];
  const rules: Rules = { drop: new Set(), dropAnswers: new Set(), holdAnswers: new Map() };
  const agent = new Agent({ keepAlive: true });
  let targetUrl = target;
  const server = createServer((request, response) => {
    const asked = { method: request.method ?? "GET", url: request.url ?? "/" };
    const dropped = matches(rules.drop, asked);
    const captured: CapturedRequest = { ...asked, atMs: performance.now(), status: null, dropped };
    requests.push(captured);
    const losesAnswer = matches(rules.dropAnswers, asked);
    const held = [...rules.holdAnswers].flatMap(([filter, released]) => (filter(asked) ? [released] : []));
    const passing = { agent, request, response, captured, losesAnswer, held, rewrite: options.rewrite };
    if (dropped) request.socket.destroy();
    else passOn({ to: new URL(asked.url, targetUrl), ...passing });
  });
  server.keepAliveTimeout = 60_000;
  server.requestTimeout = 0;
  const listenPort = options.port ?? (await freePort());
  server.listen(listenPort, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${listenPort}`,
    requests,
    count: (filter) => requests.filter(filter).length,
    drop: (filter) => rule(rules.drop, filter),
    dropAnswers: (filter) => rule(rules.dropAnswers, filter),
    holdAnswers: (filter) => {
      const released = Promise.withResolvers<void>();
      rules.holdAnswers.set(filter, released.promise);
      return {
        [Symbol.dispose]: () => {
          rules.holdAnswers.delete(filter);
          released.resolve();
        },
      };
    },
    retarget: (url) => {
      targetUrl = url;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

function rule(set: Set<RequestFilter>, filter: RequestFilter): Disposable {
  set.add(filter);
  return { [Symbol.dispose]: () => void set.delete(filter) };
}

function matches(filters: ReadonlySet<RequestFilter>, asked: { readonly method: string; readonly url: string }): boolean {
  return [...filters].some((filter) => filter(asked));
}

interface Passing {
  readonly to: URL;
  readonly agent: Agent;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly captured: CapturedRequest;
  readonly losesAnswer: boolean;
  /** The answer waits for all of these. */
  readonly held: readonly Promise<void>[];
  readonly rewrite: CaptureOptions["rewrite"];
}

function passOn(passing: Passing): void {
  const { to, agent, request, response, captured } = passing;
  const call = httpRequest(to, { agent, method: captured.method, headers: { ...request.headers, host: to.host } });
  call.on("response", (answer) => void Promise.all(passing.held).then(() => takeAnswer(passing, answer)));
  // The target's absence looks to the sender like what it is: a connection that ends.
  call.on("error", () => response.destroy());
  response.on("close", () => call.destroy());
  if (passing.rewrite === undefined) request.pipe(call);
  else sendRewritten(request, call, passing.rewrite);
}

function takeAnswer({ request, response, captured, losesAnswer }: Passing, answer: IncomingMessage): void {
  captured.status = answer.statusCode ?? null;
  if (losesAnswer) {
    answer.resume();
    request.socket.destroy();
    return;
  }
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  // An event stream's head must arrive before its first event.
  response.flushHeaders();
  answer.pipe(response);
  answer.on("error", () => response.destroy());
  answer.on("aborted", () => response.destroy());
}

function sendRewritten(
  request: IncomingMessage,
  call: ClientRequest,
  rewrite: { readonly from: string; readonly to: string },
): void {
  text(request).then(
    (body) => {
      const changed = body.replaceAll(rewrite.from, rewrite.to);
      call.removeHeader("transfer-encoding");
      if (changed !== "") call.setHeader("content-length", Buffer.byteLength(changed));
      call.end(changed);
    },
    () => call.destroy(),
  );
}
