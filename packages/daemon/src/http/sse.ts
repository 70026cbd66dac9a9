import type { ServerResponse } from "node:http";

/** One server-sent event. */
export interface SseEvent {
  readonly id?: string;
  readonly event?: string;
  /** A text is sent as it is, anything else as JSON. */
  readonly data: unknown;
}

/** Writes an event stream. */
export interface SseWriter {
  /** False when the stream is closed, or when this reader was too slow and has been dropped. */
  send(event: SseEvent): boolean;
  /** A comment, as a sign of life that no client takes for an event. */
  comment(text: string): boolean;
  close(): void;
  readonly closed: boolean;
  /** What waits for the reader, in bytes. */
  readonly bufferedBytes: number;
}

/** How much may wait for a slow reader before it is dropped; it reconnects and catches up by a snapshot. */
export const SSE_BUFFER_BYTES_MAX = 4 * 1024 * 1024;

/** Begins an event stream: headers go out at once, no proxy may buffer it. */
export function openSse(response: ServerResponse, limits: { readonly bufferBytesMax?: number } = {}): SseWriter {
  const bufferBytesMax = limits.bufferBytesMax ?? SSE_BUFFER_BYTES_MAX;
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  const isClosed = (): boolean => response.destroyed || response.writableEnded;
  const write = (text: string): boolean => {
    if (isClosed()) return false;
    response.write(text);
    if (response.writableLength <= bufferBytesMax) return true;
    response.destroy();
    return false;
  };
  return {
    send: (event) => write(encodeSse(event)),
    comment: (text) => write(`${lines(":", text)}\n`),
    close: () => {
      if (!isClosed()) response.end();
    },
    get closed() {
      return isClosed();
    },
    get bufferedBytes() {
      return response.writableLength;
    },
  };
}

/** An event as the text of its wire form (WHATWG HTML, 9.2). Throws when id or event would break the frame. */
export function encodeSse({ id, event, data }: SseEvent): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return `${field("id", id)}${field("event", event)}${lines("data:", text)}\n`;
}

function field(name: string, value: string | undefined): string {
  if (value === undefined) return "";
  if (/[\r\n\0]/.test(value)) throw new Error(`an event's ${name} must be one line: ${JSON.stringify(value)}`);
  return `${name}: ${value}\n`;
}

function lines(prefix: string, text: string): string {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => `${prefix} ${line}\n`)
    .join("");
}
