// A worker for measuring: its code is warm before it calls back, so that what it times is the hive and the queen.
import { createServer, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { WORKER_ENV } from "@queen-and-hive/protocol/worker-environment";

/** `GET /times` of this worker, in milliseconds on the machine's monotonic clock; null is "not yet". */
export interface WorkerTimes {
  /** Right before the ready callback is written. */
  readonly calledBackAtMs: number | null;
  /** When the first inference request has arrived, its headers read. */
  readonly requestedAtMs: number | null;
  /** Requests for anything but inference and these times: nobody has a reason to send one. */
  readonly otherRequests: number;
}

const WARM_UP_REQUESTS = 30;
const LOAD_MS = 100;
const CHAT = "/v1/chat/completions";
const ANSWER = JSON.stringify({
  id: "bench",
  object: "chat.completion",
  created: 0,
  model: "bench",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "ready" } }],
});

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

let times: Mutable<WorkerTimes> = { calledBackAtMs: null, requestedAtMs: null, otherRequests: 0 };

const server = createServer((incoming, response) => {
  const isTimes = incoming.url === "/times";
  if (incoming.url === CHAT) times.requestedAtMs ??= monotonicMs();
  else if (!isTimes) times.otherRequests += 1;
  const body = isTimes ? JSON.stringify(times) : ANSWER;
  incoming.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(body));
});
const host = process.env[WORKER_ENV.host] ?? "127.0.0.1";
const own = `http://${host}:${process.env[WORKER_ENV.port] ?? ""}`;
await new Promise<void>((resolve) => server.listen(Number(process.env[WORKER_ENV.port]), host, resolve));
const callbackUrl = new URL(process.env[WORKER_ENV.callbackUrl] ?? "");
for (let index = 0; index < WARM_UP_REQUESTS; index += 1) await send("POST", new URL(CHAT, own), { messages: [] });
await sleep(LOAD_MS);
// The connection stays open, so that the callback is at the hive as soon as it is sent.
await send("GET", new URL("/health", callbackUrl));
times = { calledBackAtMs: null, requestedAtMs: null, otherRequests: 0 };
const status = await sayReady();
if (status !== 200) throw new Error(`cannot bench: the hive answers the ready callback with ${status}`);

function sayReady(): Promise<number> {
  const body = {
    worker_id: process.env[WORKER_ENV.workerId],
    url: own,
    model_ref: process.env[WORKER_ENV.model],
    backend: "bench",
    device: "cpu",
    slots: 4,
  };
  times.calledBackAtMs = monotonicMs();
  return send("POST", callbackUrl, body, process.env[WORKER_ENV.callbackToken]);
}

function send(method: "GET" | "POST", target: URL, body?: unknown, token = ""): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const call = request(target, { method, headers }, (response) => {
    response.resume().on("end", () => resolve(response.statusCode ?? 0));
  });
  call.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

/** The same clock in every process of a machine since its boot. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
