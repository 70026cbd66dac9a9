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

/** Asks a worker once, over a connection of its own. Null when nothing came back in time. Never throws. */
export function askWorker({ url, timeoutMs, key }: WorkerQuestion, signal: AbortSignal): Promise<WorkerAnswer | null> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(null);
    const headers = { accept: "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
    const request = get(url, { signal, timeout: timeoutMs, agent: false, headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        if (text.length < ANSWER_CHARACTERS_MAX) text += chunk.toString("utf8");
      });
      response.on("error", () => resolve(null));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: parse(text) }));
    });
    request.on("error", () => resolve(null));
    request.on("timeout", () => request.destroy());
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
