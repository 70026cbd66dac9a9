import { get } from "node:http";

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
    const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const headers = { accept: "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
    const request = get(url, { signal: over, agent: false, headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8");
        if (text.length <= ANSWER_CHARACTERS_MAX) return;
        resolve({ status: response.statusCode ?? 0, body: null });
        request.destroy();
      });
      response.on("error", () => resolve(null));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: parse(text) }));
    });
    request.on("error", () => resolve(null));
  });
}

/** An own field of what a worker sent; undefined when it has none. */
export function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}

/** SGLang's description of itself is the longest that we read. */
const ANSWER_CHARACTERS_MAX = 262_144;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
