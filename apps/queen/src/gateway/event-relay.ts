import { SSE_START, type SseState, scanSse } from "../domain/sse.ts";
import { LAST_EVENTS, type StreamDialect } from "../domain/stream-dialect.ts";
import { lastData } from "./error-event.ts";

const NOTHING: readonly Uint8Array[] = [];
const LINE_END = new Uint8Array([10]);

/** Passes on whole events of an engine's stream, up to its last, and keeps a begun one back, so that ours can always stand behind it. */
export class EventRelay {
  readonly #eventBytesMax: number;
  readonly #lastEvents: readonly string[];
  #state: SseState = SSE_START;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(eventBytesMax: number, dialect: StreamDialect) {
    this.#eventBytesMax = eventBytesMax;
    this.#lastEvents = LAST_EVENTS[dialect];
  }

  /** What can be passed on after this chunk, unchanged and in order. */
  take(chunk: Uint8Array): readonly Uint8Array[] {
    if (this.isOver) return NOTHING;
    const { state, completeBytes } = scanSse(this.#state, chunk, this.#lastEvents);
    this.#state = state;
    if (completeBytes === 0) {
      this.#keep(chunk);
      return NOTHING;
    }
    const complete = [...this.#pending, chunk.subarray(0, completeBytes)];
    this.#pending = [];
    this.#pendingBytes = 0;
    if (!this.isOver) this.#keep(chunk.subarray(completeBytes));
    return complete;
  }

  /** The event that has begun is larger than allowed. */
  get isOverfull(): boolean {
    return this.#pendingBytes > this.#eventBytesMax;
  }

  /** The engine has said that this was all: whatever happens now, the answer is complete. */
  get isDone(): boolean {
    return this.#state.done;
  }

  /** The last event was passed on whole: what still comes is not part of the answer. */
  get isOver(): boolean {
    return this.#state.done && this.#state.atBoundary;
  }

  /** The last thing that the engine has said was an error. */
  get hasFailed(): boolean {
    return this.#state.failed;
  }

  /**
   * The engine has ended its stream: what was kept back becomes a whole event where that is the end of the answer, an
   * error that is not cut, or, with `always`, whatever it is.
   */
  end(always = false): readonly Uint8Array[] {
    if (this.#pending.length === 0 && this.#state.atBoundary) return NOTHING;
    const endsInLine = this.#state.lineBytes > 0;
    const rest: Uint8Array[] = [...this.#pending];
    this.#pending = [];
    while (!this.#state.atBoundary) {
      rest.push(LINE_END);
      this.#state = scanSse(this.#state, LINE_END, this.#lastEvents).state;
    }
    if (this.isOver || always) return rest;
    if (!this.hasFailed) return NOTHING;
    const data = lastData(rest, endsInLine);
    if (data === "whole") return rest;
    // Half an error says nothing.
    if (data === "cut") this.#state = { ...this.#state, failed: false };
    return NOTHING;
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }
}
