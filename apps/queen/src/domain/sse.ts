const LF = 10;
const CR = 13;
/** How much of a line is looked at: enough for what is recognised below. */
const HEAD_BYTES = 40;

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
  /** A line has ended with CRLF: the LF of the next will come as well. */
  readonly crlf: boolean;
  /** All bytes so far belong to complete events: a comment or an event of ours may stand here. */
  readonly atBoundary: boolean;
  /** The event that has begun is of this kind. */
  readonly event: "any" | "last" | "error";
  /** `data: [DONE]` was seen, or the whole last event of the dialect: the answer is complete. */
  readonly done: boolean;
  /** The last data was an error of the engine. */
  readonly failed: boolean;
}

/** What one chunk brought. */
export interface SseScan {
  readonly state: SseState;
  /** How many bytes of the chunk belong to events that are complete now, up to the last of the answer; 0: it completes none. */
  readonly completeBytes: number;
}

/** The state before the first byte. */
export const SSE_START: SseState = {
  lineBytes: 0,
  lineHead: "",
  afterCr: false,
  crlf: false,
  atBoundary: true,
  event: "any",
  done: false,
  failed: false,
};

/**
 * Takes the next chunk; chunks may be cut anywhere. `lastEvents` are the names of events that end an answer; what comes
 * after the end of an answer is not looked at.
 */
export function scanSse(start: SseState, chunk: Uint8Array, lastEvents: readonly string[]): SseScan {
  let { lineBytes, lineHead, afterCr, crlf, atBoundary, event, done, failed } = start;
  let completeBytes = 0;
  let index = 0;
  // The next LF and the next CR: each byte is searched once for either, however many lines end with the other.
  let lf = -1;
  let cr = -1;
  while (index < chunk.length && !(done && atBoundary && !afterCr)) {
    if (afterCr && chunk[index] === LF) {
      // The second half of CRLF: it belongs to the line, and to the event, that the CR has ended.
      index += 1;
      crlf = true;
      if (atBoundary) completeBytes = index;
      afterCr = false;
      continue;
    }
    const isOver = done && atBoundary;
    afterCr = false;
    if (isOver) break;
    if (lf < index) lf = chunk[index] === LF ? index : positionOf(LF, chunk, index);
    if (cr < index) cr = positionOf(CR, chunk, index);
    const end = Math.min(lf, cr);
    const isOrdinary = lineBytes === 0 && end < chunk.length && isOrdinaryData(chunk, index, end);
    if (end > index) {
      atBoundary = false;
      if (lineBytes < HEAD_BYTES && !isOrdinary) lineHead += textAt(chunk, index, Math.min(end, index + HEAD_BYTES - lineBytes));
      lineBytes += end - index;
    }
    if (end === chunk.length) break;
    index = end + 1;
    afterCr = chunk[end] === CR;
    if (lineBytes === 0) {
      atBoundary = true;
      completeBytes = index;
      if (event === "last") done = true;
      event = "any";
    } else if (isOrdinary) {
      failed = event === "error";
    } else if (lineHead.startsWith("data:")) {
      if (isDone(lineHead, lineBytes)) done = true;
      else failed = event === "error" || isError(lineHead);
    } else if (lineHead.startsWith("event:") && lineBytes <= HEAD_BYTES) {
      const name = textOf(lineHead, "event:").trimEnd();
      event = name === "error" ? "error" : lastEvents.includes(name) ? "last" : "any";
    }
    if (lineBytes > 0) atBoundary = false;
    lineBytes = 0;
    lineHead = "";
  }
  // Whole events leave nearly all streams as they were.
  const isSame = atBoundary && start.atBoundary && event === start.event && !done && failed === start.failed;
  if (isSame && afterCr === start.afterCr && crlf === start.crlf) return { state: start, completeBytes };
  return { state: { lineBytes, lineHead, afterCr, crlf, atBoundary, event, done, failed }, completeBytes };
}

/** The beginning of the data of nearly every token. */
const ORDINARY = [...'data: {"'].map((character) => character.charCodeAt(0));
const LETTER_E = 0x65;

/** A whole line of data that is neither `[DONE]` nor an error: an object whose first field begins otherwise than `error`. */
function isOrdinaryData(chunk: Uint8Array, start: number, end: number): boolean {
  if (end - start <= ORDINARY.length || chunk[start + ORDINARY.length] === LETTER_E) return false;
  for (let index = 0; index < ORDINARY.length; index += 1) if (chunk[start + index] !== ORDINARY[index]) return false;
  return true;
}

/** Bytes as characters; several times as fast as to spread them, and this is done for every token. */
function textAt(chunk: Uint8Array, start: number, end: number): string {
  return Reflect.apply(String.fromCharCode, null, chunk.subarray(start, end));
}

/** The index of the next such byte, or the length. */
function positionOf(byte: number, chunk: Uint8Array, from: number): number {
  const index = chunk.indexOf(byte, from);
  return index === -1 ? chunk.length : index;
}

function isDone(head: string, lineBytes: number): boolean {
  return lineBytes <= HEAD_BYTES && textOf(head, "data:").trimEnd() === "[DONE]";
}

/** Some engines say in every event that there is no error. */
function isError(head: string): boolean {
  return /^\{\s*"error"\s*:\s*(?!null\b|\s)/.test(textOf(head, "data:"));
}

/** A space after the colon is not part of the value. */
function textOf(head: string, field: string): string {
  const value = head.slice(field.length);
  return value.startsWith(" ") ? value.slice(1) : value;
}
