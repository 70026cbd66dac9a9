import type { IncomingMessage } from "node:http";
import { QhError } from "@queen-and-hive/protocol";
import type { CancelSignal } from "../cancellation.ts";
import { ChunkList } from "../chunk-list.ts";
import { type Clock, systemClock } from "../clock.ts";
import { LoopShare, loopShare } from "./loop-share.ts";
import { holdSocket } from "./socket-hold.ts";

/** Reads a whole body. Throws `body_too_large` (also when only announced) and `client_closed`, or the signal's reason. */
async function readBody(request: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<Buffer> {
  const [first, ...more] = await readChunks(request, limitBytes, signal);
  return more.length === 0 ? (first ?? Buffer.alloc(0)) : Buffer.concat([first ?? Buffer.alloc(0), ...more]);
}

/**
 * Reads a whole body as the chunks in which it came, so that a large one is never copied; `look` sees each in order,
 * and what it throws ends the reading. Large bodies wait for their turns of the event loop. Throws what `readBody` throws.
 */
export function readChunks(
  request: IncomingMessage,
  limitBytes: number,
  signal: CancelSignal,
  look: (chunk: Buffer) => void = () => undefined,
): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const chunks = new ChunkList();
    let isSettled = false;
    let hasEnded = false;
    /** A chunk waits for its turn; no other comes meanwhile, only the end. */
    let isHolding = false;
    const settle = (finish: () => void): void => {
      isSettled = true;
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      signal.removeEventListener("abort", onAbort);
      finish();
    };
    const keep = (chunk: Buffer): void => {
      if (chunks.bytes + chunk.length > limitBytes) throw tooLarge(limitBytes);
      look(chunk);
      chunks.add(chunk);
    };
    const take = (chunk: Buffer): void => {
      try {
        keep(chunk);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const finish = (): void => settle(() => resolve(chunks.takeAll()));
    const onData = (chunk: Buffer): void => {
      if (!loopShare.isSpent) {
        take(chunk);
        return;
      }
      const goOn = hold(request);
      isHolding = true;
      loopShare.afterTurn(() => {
        isHolding = false;
        if (!isSettled) take(chunk);
        if (hasEnded && !isSettled) finish();
        // Also behind a failure: whoever throws the rest away reads it without us.
        goOn();
      });
    };
    const onEnd = (): void => {
      hasEnded = true;
      if (!isHolding) finish();
    };
    const onGone = (): void => {
      if (!hasEnded)
        settle(() => reject(new QhError("client_closed", "cannot read the body: the client left while it was sent")));
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    if (signal.aborted) return reject(signal.reason);
    if (Number(request.headers["content-length"] ?? 0) > limitBytes) return reject(tooLarge(limitBytes));
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

/** Reads no more of it until what comes back is called. */
function hold(request: IncomingMessage): () => void {
  request.pause();
  // Node reads on until its buffer is full, which takes tens of thousands of chunks when each has one byte.
  const release = holdSocket(request.socket);
  return () => {
    release();
    request.resume();
  };
}

/** Reads a body that must be a JSON text. Throws `unsupported_media_type`, `malformed_json` and what `readBody` throws. */
export async function readJsonBody(request: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<unknown> {
  requireJson(request);
  const bytes = await readBody(request, limitBytes, signal);
  if (bytes.length === 0) throw new QhError("malformed_json", "cannot read the body: it is empty; send a JSON object");
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return value;
  } catch (cause) {
    const why = cause instanceof SyntaxError ? cause.message : "it is not UTF-8";
    throw new QhError("malformed_json", `cannot read the body as JSON: ${why}`, { cause });
  }
}

/** Throws `unsupported_media_type` unless the body says that it is plain JSON: a web page cannot send that unasked. */
export function requireJson(request: IncomingMessage): void {
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type !== "application/json" && !/^application\/[a-z0-9.-]+\+json$/.test(type)) {
    const got = type === "" ? "has no content-type" : `is ${type}`;
    throw new QhError("unsupported_media_type", `cannot read the body: it ${got}; send content-type: application/json`);
  }
  const encoding = request.headers["content-encoding"]?.toLowerCase() ?? "identity";
  if (encoding !== "identity") {
    throw new QhError("unsupported_media_type", `cannot read the body: it is encoded with ${encoding}; send it as it is`);
  }
}

/** How much of an unwanted body is thrown away, and for how long, before the connection is. */
const DISCARD_BYTES_MAX = 64 * 1024 * 1024;
const DISCARD_MS_MAX = 5_000;
/** Of its own: nobody whose body is wanted waits for it. It never rests: a client gets its answer when enough is thrown away. */
const discardShare = new LoopShare(0);

/**
 * Throws the rest of a body away after an early answer. Closing at once would reset the connection and the client could lose
 * the answer (RFC 9112, 9.6); reading for ever would let it send for ever.
 */
export function discardRest(request: IncomingMessage, clock: Clock = systemClock): void {
  if (request.complete || request.destroyed) return;
  let bytes = 0;
  const timer = clock.after(DISCARD_MS_MAX, () => request.socket.destroy());
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DISCARD_BYTES_MAX) request.socket.destroy();
    else if (discardShare.isSpent) discardShare.afterTurn(hold(request));
  });
  request.once("close", () => timer[Symbol.dispose]());
  request.resume();
}

function tooLarge(limitBytes: number): QhError {
  return new QhError("body_too_large", `cannot take the body: it is larger than ${limitBytes} bytes`, {
    details: { limit_bytes: limitBytes },
  });
}
