import { Readable } from "node:stream";
import { LoopShare } from "@queen-and-hive/daemon";
import type { Dispatcher } from "undici";
import type { HeaderValues } from "./forwarded-headers.ts";

/** One POST to an engine. */
export interface EngineRequest {
  readonly path: string;
  readonly headers: Record<string, string>;
  /** Sent as they are; `content-length` stands in the headers. */
  readonly chunks: readonly Uint8Array[];
}

/** How a call broke off: before it reached the engine, or after. */
export type EngineBreak = "connect_failed" | "reset";

/** What happens to a call, in order; after `ended`, `broken` or `cancel` nothing more is said. */
export interface EngineListener {
  /** The request is about to be written to a connection. */
  sent(): void;
  head(status: number, headers: HeaderValues): void;
  data(chunk: Buffer): void;
  ended(): void;
  broken(how: EngineBreak, cause: unknown): void;
}

/** A call in progress. */
export interface EngineCall {
  /** Closes the connection at once: the engine sees its client leave. */
  cancel(): void;
  /** Reads no more until `resume`; the engine feels it through TCP. */
  pause(): void;
  resume(): void;
}

const CANCELLED = new Error("cancelled by the gateway");
/** Bodies up to this size are sent in one piece. */
const ONE_PIECE_BYTES = 65_536;

/** Sends a request through a pool and tells the listener what comes back. */
export function callEngine(pool: Dispatcher, request: EngineRequest, listener: EngineListener): EngineCall {
  let controller: Dispatcher.DispatchController | null = null;
  let over = false;
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      controller = started;
      // Cancelled while it waited for a connection: undici gives no earlier moment to stop it.
      if (over) started.abort(CANCELLED);
      else listener.sent();
    },
    onResponseStart(_controller, status, headers) {
      // 1xx are interim: the answer is still to come.
      if (!over && status >= 200) listener.head(status, headers);
    },
    onResponseData(_controller, chunk) {
      if (!over) listener.data(chunk);
    },
    onResponseEnd() {
      if (over) return;
      over = true;
      listener.ended();
    },
    onResponseError(_controller, error) {
      if (over) return;
      over = true;
      listener.broken(controller === null ? "connect_failed" : "reset", error);
    },
  };
  pool.dispatch({ method: "POST", path: request.path, headers: request.headers, body: bodyOf(request.chunks) }, handler);
  return {
    cancel: () => {
      over = true;
      controller?.abort(CANCELLED);
    },
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
  };
}

function bodyOf(chunks: readonly Uint8Array[]): Uint8Array | Readable {
  const [first, ...more] = chunks;
  if (more.length === 0) return first ?? new Uint8Array();
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return bytes <= ONE_PIECE_BYTES ? Buffer.concat(chunks, bytes) : new SharedBody(chunks);
}

/** All large bodies together: an engine nearby takes the whole of one in one turn of the event loop if it is let. */
const share = new LoopShare();

class SharedBody extends Readable {
  readonly #chunks: readonly Uint8Array[];
  #next = 0;

  constructor(chunks: readonly Uint8Array[]) {
    super();
    this.#chunks = chunks;
  }

  override _read(): void {
    if (share.isSpent) share.afterTurn(() => this.#pushNext());
    else this.#pushNext();
  }

  #pushNext(): void {
    if (!this.destroyed) this.push(this.#chunks[this.#next++] ?? null);
  }
}
