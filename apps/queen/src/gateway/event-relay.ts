import { ChunkList } from "@queen-and-hive/daemon";
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
  readonly #pending = new ChunkList();

  constructor(eventBytesMax: number, dialect: StreamDialect) {
    this.#eventBytesMax = eventBytesMax;
    this.#lastEvents = LAST_EVENTS[dialect];
  }

  /** What can be passed on after this chunk, unchanged and in order. */
  take(chunk: Buffer): readonly Uint8Array[] {
    if (this.isOver) return NOTHING;
    const { state, completeBytes } = scanSse(this.#state, chunk, this.#lastEvents);
    if (state !== this.#state) this.#state = state;
    if (completeBytes === 0) {
      // Behind the end of the answer, where a LF was due, stands something else.
      if (!this.isOver) this.#pending.add(chunk);
      return NOTHING;
    }
    const complete = completeBytes === chunk.length ? chunk : chunk.subarray(0, completeBytes);
    const events = this.#pending.bytes === 0 ? complete : Buffer.concat([...this.#pending.takeAll(), complete]);
    if (!this.isOver && completeBytes < chunk.length) this.#pending.add(chunk.subarray(completeBytes));
    return [events];
  }

  /** Bytes of the event that has begun. */
  get pendingBytes(): number {
    return this.#pending.bytes;
  }

  /** The event that has begun is larger than allowed. */
  get isOverfull(): boolean {
    return this.#pending.bytes > this.#eventBytesMax;
  }

  /** The engine has said that this was all: whatever happens now, the answer is complete. */
  get isDone(): boolean {
    return this.#state.done;
  }

  /** The last event was passed on whole: what still comes is not part of the answer. */
  get isOver(): boolean {
    return this.#state.done && this.#state.atBoundary && !this.lacksLineFeed;
  }

  /** Everything has come but the LF of the last CRLF, which is still under way. */
  get lacksLineFeed(): boolean {
    return this.#state.afterCr && this.#state.crlf;
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
    if (this.#pending.bytes === 0 && this.#state.atBoundary) return NOTHING;
    const endsInLine = this.#state.lineBytes > 0;
    const rest: Uint8Array[] = [...this.#pending.takeAll()];
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
}
