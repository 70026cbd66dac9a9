import { Client } from "undici";
import type { ReadyWorker } from "../workers/worker-directory.ts";
import { connectorOf } from "./engine-connector.ts";

/** Who is asked. */
export type AskedEngine = Pick<ReadyWorker, "url" | "basePath" | "key" | "connect">;

/** What an engine has answered. */
export interface EngineWord {
  readonly status: number;
  /** The JSON value of the body; undefined when it is none or longer than `ANSWER_BYTES_MAX`. */
  readonly body: unknown;
}

/** Longest list of models that is read. */
const ANSWER_BYTES_MAX = 4_194_304;

/**
 * `GET <base>/models` of an engine, on a connection of its own, so that no request waits behind it. Rejects when there is no
 * answer within the time.
 */
export async function askModels(engine: AskedEngine, timeoutMs: number): Promise<EngineWord> {
  const { url, basePath, key } = engine;
  const client = new Client(url, { connect: connectorOf(engine, timeoutMs), headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
  try {
    const headers = key === null ? {} : { authorization: `Bearer ${key}` };
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await client.request({ method: "GET", path: `${basePath}/models`, headers, signal });
    return { status: answer.statusCode, body: await readJson(answer.body) };
  } finally {
    await client.destroy();
  }
}

async function readJson(body: AsyncIterable<Uint8Array>): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks, bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
