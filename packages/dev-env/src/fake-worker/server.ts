import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { compute } from "./compute.ts";
import { answerCompletion, answerEmbeddings } from "./inference.ts";
import { sendError, sendJson } from "./json-answer.ts";
import { answerMessages } from "./messages.ts";
import { answerRerank } from "./rerank.ts";
import { answerResponses } from "./responses.ts";
import type { FakeWorkerState } from "./state.ts";
import type { Ending, SeenRequest } from "./statistics.ts";

type Route = (state: FakeWorkerState, seen: SeenRequest, response: ServerResponse) => void;
type InferenceRoute = (state: FakeWorkerState, seen: SeenRequest, response: ServerResponse) => Promise<Ending>;

const INFERENCE_ROUTES: Readonly<Record<string, InferenceRoute>> = {
  "POST /v1/chat/completions": (state, seen, response) => answerCompletion("chat", state, seen, response),
  "POST /v1/completions": (state, seen, response) => answerCompletion("text", state, seen, response),
  "POST /v1/embeddings": answerEmbeddings,
  "POST /v1/responses": answerResponses,
  "POST /v1/messages": answerMessages,
  "POST /v1/rerank": answerRerank,
};

const OTHER_ROUTES: Readonly<Record<string, Route>> = {
  "GET /health": (state, _seen, response) => {
    state.statistics.healthRequests += 1;
    if (state.options.faults.dripsHealth) drip(response);
    else if (state.statistics.ready) sendJson(response, 200, { status: "ok" });
    else sendJson(response, 503, { status: "loading", progress: state.progress });
  },
  "GET /v1/models": (state, _seen, response) => {
    const model = { id: state.options.model, object: "model", created: 0, owned_by: "fake", max_model_len: 4_096 };
    sendJson(response, 200, { object: "list", data: [model] });
  },
  "GET /stats": (state, _seen, response) => {
    sendJson(response, 200, state.statistics.read(state.options.workerId, process.pid));
  },
};

/** The fake worker's HTTP server; the caller lets it listen. */
export function createFakeWorkerServer(state: FakeWorkerState): Server {
  const server = createServer((request, response) => {
    void route(state, request, response).catch((error: unknown) => response.destroy(asError(error)));
  });
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  return server;
}

async function route(state: FakeWorkerState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const name = `${request.method ?? "GET"} ${path}`;
  const seen = { method: request.method ?? "GET", path, headers: headersOf(request), body: await bodyOf(request) };
  const inference = INFERENCE_ROUTES[name];
  if (inference !== undefined) return await guarded(inference, state, seen, response);
  const other = OTHER_ROUTES[name];
  if (other !== undefined) return other(state, seen, response);
  sendError(response, 404, "route_not_found", `cannot find ${name}`);
}

/** Inference behind the key, after loading, and with the faults that answer instead of the model. */
async function guarded(run: InferenceRoute, state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<void> {
  const { options, statistics } = state;
  const end = statistics.begin(seen);
  const refuse = (status: number, code: string, message: string): void => {
    end("failed");
    sendError(response, status, code, message);
  };
  if (options.workerKey !== null && seen.headers["authorization"] !== `Bearer ${options.workerKey}`) {
    return refuse(401, "unauthenticated", "cannot serve this request: the worker's key is missing or wrong");
  }
  if (!statistics.ready) return refuse(503, "loading", "cannot serve this request: the model is loading");
  if (options.faults.answerStatus !== null) {
    return refuse(options.faults.answerStatus, "engine_failed", "cannot serve this request: the fault http-500 is on");
  }
  if (options.faults.answersMalformed) {
    end("failed");
    response.writeHead(200, { "content-type": "application/json" }).end('{"choices": [');
    return;
  }
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  let ending: Ending = "failed";
  try {
    ending = (await state.slots.use(gone.signal, () => serve(run, state, seen, response, gone.signal))) ?? "cancelled";
  } finally {
    end(ending);
  }
}

async function serve(
  run: InferenceRoute,
  state: FakeWorkerState,
  seen: SeenRequest,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<Ending> {
  const { prefillMs, neverAnswers } = state.options.faults;
  if (neverAnswers) {
    await once(gone, "abort");
    return "cancelled";
  }
  if (prefillMs > 0) compute(prefillMs);
  return await run(state, seen, response);
}

function drip(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const dripping = setInterval(() => response.write(" "), DRIP_MS);
  response.on("close", () => clearInterval(dripping));
}

const DRIP_MS = 50;

function headersOf(request: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  if (chunks.length === 0) return null;
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
