import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { createMetrics, type Metrics, type RunningServer, silentLog, startHttpServer, systemClock } from "@queen-and-hive/daemon";
import { defineEndpoints, inferenceEndpoint, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { createGateway, type Gateway } from "../src/gateway/gateway.ts";
import type { RequestRow } from "../src/gateway/request-row.ts";
import type { GatewaySettings, StreamLimits } from "../src/gateway/settings.ts";
import { HandMadeDirectory } from "./gateway-directory.ts";

const { postChatCompletions, postCompletions, postEmbeddings, postResponses, postMessages, postRerank } = QUEEN_ENDPOINTS;
const table = defineEndpoints({ postChatCompletions, postCompletions, postEmbeddings, postResponses, postMessages, postRerank });

/** Limits that no test meets by accident. */
const STREAM: StreamLimits = {
  commitAfterMs: 5_000,
  connectMs: 2_000,
  firstByteMs: 20_000,
  idleMs: 20_000,
  totalMs: Number.POSITIVE_INFINITY,
  keepAliveMs: 10_000,
};

/** What a test sets of the gateway. */
export interface HarnessOptions {
  readonly queue?: Partial<GatewaySettings["queue"]>;
  readonly stream?: Partial<StreamLimits>;
  readonly bodyBytes?: number;
  readonly bodiesBytes?: number;
  readonly answersBytes?: number;
  readonly receiveMs?: number;
  readonly retry?: GatewaySettings["retry"];
  readonly answer?: GatewaySettings["answer"];
}

/** A gateway behind the daemon's real HTTP server, before a directory that is made by hand. */
export class GatewayHarness implements AsyncDisposable {
  readonly directory: HandMadeDirectory;
  readonly gateway: Gateway<string>;
  readonly rows: RequestRow[];
  readonly metrics: Metrics;
  readonly server: RunningServer;

  private constructor(parts: Pick<GatewayHarness, "directory" | "gateway" | "rows" | "metrics" | "server">) {
    this.directory = parts.directory;
    this.gateway = parts.gateway;
    this.rows = parts.rows;
    this.metrics = parts.metrics;
    this.server = parts.server;
  }

  static async start(options: HarnessOptions = {}): Promise<GatewayHarness> {
    const directory = new HandMadeDirectory();
    const rows: RequestRow[] = [];
    const metrics = createMetrics();
    const bodyBytes = options.bodyBytes ?? 1_000_000;
    const gateway = createGateway<string>({
      directory,
      models: [
        { id: "chat", aliases: ["gpt-4o"], task: null, routes: ["/tokenize", "/v1/audio/transcriptions"] },
        { id: "secret", aliases: [], task: null, routes: [] },
        { id: "vectors", aliases: [], task: "embedding", routes: [] },
      ],
      settings: {
        queue: { maxWaiting: 100, maxWaitMs: 20_000, loadWaitMs: 20_000, sessionsKept: 100, ...options.queue },
        stream: { ...STREAM, ...options.stream },
        bodyBytes,
        bodiesBytes: options.bodiesBytes ?? 1_000_000_000,
        answersBytes: options.answersBytes ?? 1_000_000_000,
        receiveMs: options.receiveMs ?? 10_000,
        retry: options.retry ?? { attempts: 3, waitMs: 200 },
        answer: options.answer ?? { wholeBytes: 33_554_432, eventBytes: 8_388_608 },
      },
      allowedModels: (identity) => (identity === "guest" ? ["chat"] : "all"),
      clientOf: (identity) => identity,
      log: silentLog,
      metrics,
      clock: systemClock,
      recordRequest: (row) => void rows.push(row),
    });
    const server = await startHttpServer<typeof table, string>({
      table,
      handlers: gateway.handlers,
      more: [...gateway.listed].map(([path, handler]) => ({ name: path, row: inferenceEndpoint(path, ""), handler })),
      listen: { host: "127.0.0.1", port: 0 },
      authorize: (_caller, request) => request.token ?? "owner",
      log: silentLog,
      limits: { bodyBytes, headersBytes: 16_384, requestTimeoutMs: 10_000 },
    });
    return new GatewayHarness({ directory, gateway, rows, metrics, server });
  }

  /** Sends a chat request. */
  chat(fields: object = {}, options: ClientOptions = {}): Promise<ClientAnswer> {
    return this.post("/v1/chat/completions", JSON.stringify({ model: "chat", messages: [], ...fields }), options);
  }

  /** Sends a body to a route. */
  post(path: string, body: string | Buffer, options: ClientOptions = {}): Promise<ClientAnswer> {
    return send(`${this.server.url}${path}`, body, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.close();
    await this.server.close();
  }
}

/** How a client of a test sends. */
export interface ClientOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly agent?: Agent;
}

/** An answer whose head has come and whose body is read as the test likes. */
export class ClientAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly message: IncomingMessage;

  constructor(message: IncomingMessage) {
    this.status = message.statusCode ?? 0;
    this.headers = message.headers;
    this.message = message;
  }

  /** The whole body; rejects when the connection is cut. */
  async text(): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.message) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  /** The body as JSON. */
  async json(): Promise<{ readonly error: Readonly<Record<string, unknown>> } & Readonly<Record<string, unknown>>> {
    return JSON.parse(await this.text());
  }

  /** Reads until the body so far contains a text, and gives it; the rest can be read later. */
  async until(text: string): Promise<string> {
    let read = "";
    while (!read.includes(text)) {
      const chunk: unknown = this.message.read();
      if (chunk !== null) read += String(chunk);
      else if (this.message.readableEnded || this.message.destroyed) throw new Error(`the answer ended without ${text}: ${read}`);
      else await new Promise<void>((resolve) => void this.message.once("readable", () => resolve()));
    }
    return read;
  }
}

async function send(url: string, body: string | Buffer, options: ClientOptions): Promise<ClientAnswer> {
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(url, {
      method: "POST",
      agent: options.agent ?? new Agent({ keepAlive: false }),
      headers: { "content-type": "application/json", ...options.headers },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    request.on("response", resolve);
    request.on("error", reject);
    request.end(body);
  });
  return new ClientAnswer(message);
}

/** Waits until a condition holds, looking at every turn of the event loop; fails after `withinMs`. */
export async function eventually(condition: () => boolean, what: string, withinMs = 5_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`it did not happen within ${withinMs} ms: ${what}`);
    await new Promise<void>((resolve) => void setTimeout(resolve, 2));
  }
}
