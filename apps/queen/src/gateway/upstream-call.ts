import type { Dispatcher } from "undici";
import type { HeaderValues } from "./forwarded-headers.ts";

/** One POST to an engine. */
export interface UpstreamRequest {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** How a call broke off: before it reached the engine, or after. */
export type UpstreamBreak = "connect_failed" | "reset";

/** What happens to a call, in order; after `ended`, `broken` or `cancel` nothing more is said. */
export interface UpstreamListener {
  /** The request is about to be written to a connection. */
  sent(): void;
  head(status: number, headers: HeaderValues): void;
  data(chunk: Buffer): void;
  ended(): void;
  broken(how: UpstreamBreak, cause: unknown): void;
}

/** A call in progress. */
export interface UpstreamCall {
  /** Closes the connection at once: the engine sees its client leave. */
  cancel(): void;
  /** Reads no more until `resume`; the engine feels it through TCP. */
  pause(): void;
  resume(): void;
}

const CANCELLED = new Error("cancelled by the gateway");

/** Sends a request through a pool and tells the listener what comes back. */
export function callUpstream(pool: Dispatcher, request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
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
  pool.dispatch({ method: "POST", path: request.path, headers: request.headers, body: request.body }, handler);
  return {
    cancel: () => {
      over = true;
      controller?.abort(CANCELLED);
    },
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
  };
}
