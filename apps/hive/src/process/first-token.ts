import { request } from "node:http";
import { endsWithin } from "./ask-worker.ts";

/**
 * What became of a request for one token: `token`, it came; `refused`, the engine answered that it does not do this;
 * `busy`, it answered that it cannot now; `mute`, nothing came.
 */
export type FirstToken = "token" | "refused" | "busy" | "mute";

/** Whom to ask, and how long. */
export interface FirstTokenOptions {
  /** The worker's own address. */
  readonly url: string;
  readonly model: string;
  /** The worker's key; null where it asks for none. */
  readonly key: string | null;
  /** Infinity: until the signal. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Asks an engine for one token, on the first of its routes that takes such a request. Never throws. */
export async function askFirstToken(options: FirstTokenOptions): Promise<FirstToken> {
  let last: FirstToken = "mute";
  for (const [path, body] of QUESTIONS) {
    const status = await post(`${options.url}${path}`, JSON.stringify({ model: options.model, ...body }), options);
    if (status === null) return "mute";
    if (status >= 200 && status < 300) return "token";
    last = NOT_THIS_WAY.has(status) ? "refused" : "busy";
    if (last === "busy") return last;
  }
  return last;
}

/** An embedding model has no chat, and a reranker neither. */
const QUESTIONS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ["/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }], max_tokens: 1 }],
  ["/v1/completions", { prompt: "Hi", max_tokens: 1 }],
  ["/v1/embeddings", { input: "Hi" }],
];
const NOT_THIS_WAY: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 415, 422, 501]);

/** One token is far less, and the widest embedding of a word still less than half of that. */
const ANSWER_BYTES_MAX = 1_048_576;

/** The status of a whole answer, or of one that is too long to be read to its end; null when there was none. */
function post(url: string, text: string, { timeoutMs, key, signal }: FirstTokenOptions): Promise<number | null> {
  return new Promise((resolve) => {
    const none = (): void => resolve(null);
    if (signal.aborted) return none();
    const call = request(
      url,
      {
        method: "POST",
        signal: endsWithin(timeoutMs, signal),
        agent: false,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        },
      },
      (response) => {
        const status = response.statusCode ?? null;
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes <= ANSWER_BYTES_MAX) return;
          resolve(status);
          call.destroy();
        });
        response.on("error", none);
        response.on("end", () => resolve(status));
      },
    );
    call.on("error", none);
    call.end(text);
  });
}
