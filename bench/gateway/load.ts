import { connect, type Socket } from "node:net";
import type { Target } from "./targets.ts";

/** What a load has seen. */
export interface LoadResult {
  readonly requests: number;
  readonly tookMs: number;
  /** From the first byte written to the last byte read, per request. */
  readonly latenciesMs: readonly number[];
  /** Tokens that carried the moment of their writing, and how long each was on its way. */
  readonly tokenDelaysMs: readonly number[];
}

/** What is sent. */
export interface Load {
  readonly connections: number;
  /** All connections together, one request after another on each. */
  readonly requests: number;
  /** Of a streamed answer; 0: one whole JSON answer. */
  readonly tokens: number;
  /** Between two tokens of a stream; 0: all at once. */
  readonly intervalMs: number;
  /** True: `tokenDelaysMs` is filled. */
  readonly timeTokens?: boolean;
  /** Connections open over this time and not at once. */
  readonly rampMs?: number;
}

const END = Buffer.from("0\r\n\r\n");
const SENT = Buffer.from('"sent":');

/** The machine's monotonic clock, as the engine reads it. */
const nowMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

/**
 * Sends a load over sockets of its own, with as little of HTTP as it takes: at the rates that are measured this costs a
 * fraction of what any gateway here costs. Throws when an answer is not 200 or a connection is cut.
 */
export async function runLoad(target: Target, load: Load): Promise<LoadResult> {
  const message = messageOf(target, load);
  const latenciesMs: number[] = [];
  const tokenDelaysMs: number[] = [];
  let left = load.requests;
  const take = (): boolean => {
    left -= 1;
    return left >= 0;
  };
  const started = nowMs();
  await Promise.all(
    Array.from({ length: load.connections }, async (_, index) => {
      const waitMs = ((load.rampMs ?? 0) * index) / load.connections;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await keepSending({ target, message, take, latenciesMs, tokenDelaysMs: load.timeTokens === true ? tokenDelaysMs : null });
    }),
  );
  return { requests: load.requests, tookMs: nowMs() - started, latenciesMs, tokenDelaysMs };
}

interface Sender {
  readonly target: Target;
  readonly message: Buffer;
  readonly take: () => boolean;
  readonly latenciesMs: number[];
  readonly tokenDelaysMs: number[] | null;
}

function keepSending({ target, message, take, latenciesMs, tokenDelaysMs }: Sender): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!take()) {
      resolve();
      return;
    }
    const socket: Socket = connect({ host: "127.0.0.1", port: target.port, noDelay: true });
    let sentAtMs = 0;
    let tail: Buffer = Buffer.alloc(0);
    let isFirst = true;
    /** Bytes of an answer whose length is known that are still to come; never 0 for a stream. */
    let left = 0;
    const send = (): void => {
      isFirst = true;
      sentAtMs = nowMs();
      socket.write(message);
    };
    socket.on("connect", send);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`cannot measure ${target.name}: it closed a connection`)));
    socket.on("data", (data: Buffer) => {
      if (isFirst && data.toString("latin1", 9, 12) !== "200") {
        reject(new Error(`cannot measure ${target.name}: ${data.toString("latin1", 0, 600)}`));
        return;
      }
      if (isFirst) left = bytesOf(data);
      isFirst = false;
      left -= data.length;
      if (tokenDelaysMs !== null) noteDelays(data, tokenDelaysMs);
      tail = data.length >= END.length ? data.subarray(-END.length) : Buffer.concat([tail, data]).subarray(-END.length);
      if (left !== 0 && !tail.equals(END)) return;
      latenciesMs.push(nowMs() - sentAtMs);
      tail = Buffer.alloc(0);
      if (take()) send();
      else {
        socket.removeAllListeners("close");
        socket.end(() => resolve());
      }
    });
  });
}

/** The whole length of an answer that says how long it is, from its head, which comes in one piece; -Infinity for a stream. */
function bytesOf(data: Buffer): number {
  const headEnd = data.indexOf("\r\n\r\n") + 4;
  const length = /content-length: *(\d+)/i.exec(data.toString("latin1", 0, headEnd))?.[1];
  return length === undefined ? Number.NEGATIVE_INFINITY : headEnd + Number(length);
}

function noteDelays(data: Buffer, delaysMs: number[]): void {
  const readAtMs = nowMs();
  for (let at = data.indexOf(SENT); at >= 0; at = data.indexOf(SENT, at + SENT.length)) {
    const from = at + SENT.length;
    delaysMs.push(readAtMs - Number(data.toString("latin1", from, data.indexOf(",", from))));
  }
}

function messageOf({ port, path, headers }: Target, { tokens, intervalMs }: Load): Buffer {
  const body = JSON.stringify({
    model: "bench",
    stream: tokens > 0,
    max_tokens: Math.max(1, tokens),
    interval_ms: intervalMs,
    messages: [
      { role: "system", content: "You are a helpful assistant who answers in one short sentence." },
      { role: "user", content: "Why do bees dance when they come home to the hive in the evening?" },
    ],
  });
  const fields = {
    host: `127.0.0.1:${port}`,
    "content-type": "application/json",
    "content-length": String(body.length),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}
