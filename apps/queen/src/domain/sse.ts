const LF = 10;
const CR = 13;
/** How much of a line is looked at: enough for what is recognised below. */
const HEAD_BYTES = 24;

/**
 * What is known of a stream of server-sent events after some of its bytes, so that it can be ended well-formed at any
 * moment (WHATWG HTML, "Server-sent events": lines end with LF, CR or CRLF, an empty line ends an event).
 */
export interface SseState {
  /** Bytes in the line that has begun. */
  readonly lineBytes: number;
  /** Its first bytes, as characters. */
  readonly lineHead: string;
  /** The last byte was a CR; a LF now belongs to it. */
  readonly afterCr: boolean;
  /** All bytes so far belong to complete events: a comment or an event of ours may stand here. */
  readonly atBoundary: boolean;
  /** `data: [DONE]` was seen: the answer is complete. */
  readonly done: boolean;
  /** The last data line was an error object of the engine. */
  readonly failed: boolean;
}

/** What one chunk brought. */
export interface SseScan {
  readonly state: SseState;
  /** How many bytes of the chunk belong to events that are complete now; 0 when it completes none. */
  readonly completeBytes: number;
}

/** The state before the first byte. */
export const SSE_START: SseState = { lineBytes: 0, lineHead: "", afterCr: false, atBoundary: true, done: false, failed: false };

/** Takes the next chunk; chunks may be cut anywhere. */
export function scanSse(start: SseState, chunk: Uint8Array): SseScan {
  let { lineBytes, lineHead, afterCr, atBoundary, done, failed } = start;
  let completeBytes = 0;
  for (let index = 0; index < chunk.length; index += 1) {
    const byte = chunk[index];
    if (byte === LF && afterCr) {
      // The second half of CRLF: it belongs to the line, and to the event, that the CR has ended.
      afterCr = false;
      if (atBoundary) completeBytes = index + 1;
      continue;
    }
    afterCr = byte === CR;
    if (byte !== LF && byte !== CR) {
      atBoundary = false;
      lineBytes += 1;
      if (lineBytes <= HEAD_BYTES && byte !== undefined) lineHead += String.fromCharCode(byte);
      continue;
    }
    atBoundary = lineBytes === 0;
    if (atBoundary) {
      completeBytes = index + 1;
    } else if (lineHead.startsWith("data:")) {
      if (isDone(lineHead, lineBytes)) done = true;
      else failed = isError(lineHead);
    }
    lineBytes = 0;
    lineHead = "";
  }
  return { state: { lineBytes, lineHead, afterCr, atBoundary, done, failed }, completeBytes };
}

function isDone(head: string, lineBytes: number): boolean {
  return lineBytes <= HEAD_BYTES && dataOf(head).trimEnd() === "[DONE]";
}

function isError(head: string): boolean {
  return /^\{\s*"error"/.test(dataOf(head));
}

function dataOf(head: string): string {
  const data = head.slice("data:".length);
  return data.startsWith(" ") ? data.slice(1) : data;
}
