import { get } from "node:http";
import { parseJson } from "@queen-and-hive/daemon";

/** A question to a worker's own HTTP server. */
export interface WorkerQuestion {
  readonly url: string;
  readonly timeoutMs: number;
  /** The worker's key; null where it asks for none. */
  readonly key: string | null;
}

/** What a worker answered. */
export interface WorkerAnswer {
  readonly status: number;
  /** Its JSON; null when it is none, or longer than we read. */
  readonly body: unknown;
}

/** Asks a worker once, over a connection of its own. Null when no whole answer came in time, however it drips. Never throws. */
export function askWorker({ url, timeoutMs, key }: WorkerQuestion, signal: AbortSignal): Promise<WorkerAnswer | null> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(null);
    const headers = { accept: "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
    const request = get(url, { signal: endsWithin(timeoutMs, signal), agent: false, headers }, (response) => {
      const status = response.statusCode ?? 0;
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes <= ANSWER_BYTES_MAX) return;
        resolve({ status, body: null });
        request.destroy();
      });
      response.on("error", () => resolve(null));
      // A character may be cut in two by the network, so the text is made of the whole.
      response.on("end", () => resolve({ status, body: parseJson(Buffer.concat(chunks).toString("utf8")) ?? null }));
    });
    request.on("error", () => resolve(null));
  });
}

/** A signal that is aborted with the given one, or when the time is over; Infinity is never. */
export function endsWithin(ms: number, signal: AbortSignal): AbortSignal {
  return ms <= TIMER_MS_MAX ? AbortSignal.any([signal, AbortSignal.timeout(ms)]) : signal;
}

/** SGLang's description of itself is the longest that we read. */
const ANSWER_BYTES_MAX = 262_144;
/** What Node's timers can wait, some 24 days; they take a longer time for none. */
const TIMER_MS_MAX = 2 ** 31 - 1;
