import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { FakeWorkerOptions } from "./options.ts";
import type { CallbackAttempt, Statistics } from "./statistics.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;
const ATTEMPT_TIMEOUT_MS = 5_000;
const FINAL_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 410]);

/** Sends the ready callback until it is acknowledged or finally refused, as often as the faults say. */
export async function sendReadyCallbacks(options: FakeWorkerOptions, port: number, statistics: Statistics): Promise<void> {
  if (options.callbackUrl === null) return;
  const target = new URL(options.callbackUrl);
  for (let time = 0; time < options.faults.callbackTimes; time += 1) {
    let retryMs = FIRST_RETRY_MS;
    for (;;) {
      const attempt = await post(target, tokenOf(options), bodyOf(options, port));
      statistics.callbacks.push(attempt);
      if (isOver(attempt)) break;
      await sleep(retryMs);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
  }
}

function isOver(attempt: CallbackAttempt): boolean {
  if (attempt.status === null) return false;
  return (attempt.status >= 200 && attempt.status < 300) || FINAL_STATUSES.has(attempt.status);
}

function tokenOf(options: FakeWorkerOptions): string {
  return options.faults.callbackTokenWrong ? "not-the-token-of-this-worker" : (options.callbackToken ?? "");
}

/** The body of `POST /v1/workers/ready`. */
function bodyOf(options: FakeWorkerOptions, port: number): Readonly<Record<string, unknown>> {
  return {
    worker_id: options.workerId,
    url: `http://${options.host}:${port}`,
    model_ref: options.model,
    backend: "fake",
    device: "cpu",
    pid: process.pid,
    slots: options.slots,
    memory_bytes: process.memoryUsage.rss(),
  };
}

function post(target: URL, token: string, body: unknown): Promise<CallbackAttempt> {
  return new Promise((resolve) => {
    const text = JSON.stringify(body);
    const call = request(target, {
      method: "POST",
      agent: false,
      timeout: ATTEMPT_TIMEOUT_MS,
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
      },
    });
    call.on("response", (response) => {
      response.setEncoding("utf8");
      let received = "";
      response.on("data", (chunk: string) => {
        received += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? null, answer: parsed(received) }));
      response.on("error", (error) => resolve({ status: null, answer: error.message }));
    });
    call.on("timeout", () => call.destroy(new Error(`no answer within ${ATTEMPT_TIMEOUT_MS} ms`)));
    call.on("error", (error) => resolve({ status: null, answer: error.message }));
    call.end(text);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
