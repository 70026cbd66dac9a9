import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Deadline } from "@queen-and-hive/daemon";
import { until } from "../clock/until.ts";

/** A request as it arrived. */
export interface RecordedRequest {
  readonly method: string;
  /** Path with query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON; the text where it was not JSON; null where there was none. */
  readonly body: unknown;
  /** Milliseconds of the monotonic clock at which it had arrived whole. */
  readonly atMs: number;
}

/** What is answered: a status with a JSON body, or `drop`, which cuts the connection without a word. */
export type RecordedAnswer = { readonly status: number; readonly body?: unknown } | "drop";

/** A server that writes down what it is asked and answers as it is told, in place of a queen, a hive or an engine. */
export interface RecordingServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly requests: readonly RecordedRequest[];
  /** Changes the answers from now on; the second argument counts the requests, from 0. */
  answer(how: (request: RecordedRequest, index: number) => RecordedAnswer | Promise<RecordedAnswer>): void;
  /** Waits until so many requests that match have arrived and returns them. */
  received(
    count: number,
    matches?: (request: RecordedRequest) => boolean,
    within?: Deadline | number,
  ): Promise<readonly RecordedRequest[]>;
  /** Closes the listener and every connection: from outside, nobody is there. */
  leave(): Promise<void>;
  /** Listens on the same port again. */
  comeBack(): Promise<void>;
}

/** Starts one on a free port of 127.0.0.1, or on the Unix socket or port that is named. It answers 200 `{}` until told otherwise. */
export async function startRecordingServer(
  place: { readonly port: number } | { readonly path: string } = { port: 0 },
): Promise<RecordingServer> {
  const requests: RecordedRequest[] = [];
  let how: (request: RecordedRequest, index: number) => RecordedAnswer | Promise<RecordedAnswer> = () => ({
    status: 200,
    body: {},
  });
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const recorded = await record(request);
    const index = requests.push(recorded) - 1;
    give(response, await how(recorded, index));
  };
  const listen = async (where: typeof place): Promise<Server> => {
    const server = createServer((request, response) => {
      handle(request, response).catch(() => response.destroy());
    });
    server.listen("path" in where ? { path: where.path } : { port: where.port, host: "127.0.0.1" });
    await once(server, "listening");
    return server;
  };
  let server: Server | null = await listen(place);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const leave = async (): Promise<void> => {
    const leaving = server;
    server = null;
    if (leaving === null) return;
    const closed = once(leaving, "close");
    leaving.close();
    leaving.closeAllConnections();
    await closed;
  };
  return {
    url: "path" in place ? `unix:${place.path}` : `http://127.0.0.1:${port}`,
    port,
    requests,
    answer: (next) => {
      how = next;
    },
    received: async (count, matches = () => true, within = Deadline.in(10_000)) => {
      const found = (): readonly RecordedRequest[] => requests.filter(matches);
      await until(() => found().length >= count, within, `${count} requests, of which ${requests.length} arrived in all`);
      return found();
    },
    leave,
    comeBack: async () => {
      server ??= await listen("path" in place ? place : { port });
    },
    [Symbol.asyncDispose]: leave,
  };
}

function give(response: ServerResponse, answer: RecordedAnswer): void {
  if (answer === "drop") {
    response.destroy();
    return;
  }
  response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body ?? {}));
}

async function record(request: IncomingMessage): Promise<RecordedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return {
    method: request.method ?? "GET",
    url: request.url ?? "/",
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    body: parsed(Buffer.concat(chunks).toString("utf8")),
    atMs: performance.now(),
  };
}

function parsed(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
