import { SSE_START, type SseState, scanSse } from "../domain/sse.ts";

const NOTHING: readonly Uint8Array[] = [];
const EVENT_END = new Uint8Array([10, 10]);

/** Passes on whole events of an engine's stream and keeps a begun one back, so that ours can always stand behind it. */
export class EventRelay {
  readonly #eventBytesMax: number;
  #state: SseState = SSE_START;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(eventBytesMax: number) {
    this.#eventBytesMax = eventBytesMax;
  }

  /** What can be passed on after this chunk, unchanged and in order. */
  take(chunk: Uint8Array): readonly Uint8Array[] {
    const { state, completeBytes } = scanSse(this.#state, chunk);
    this.#state = state;
    if (completeBytes === 0) {
      this.#keep(chunk);
      return NOTHING;
    }
    const complete = [...this.#pending, chunk.subarray(0, completeBytes)];
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#keep(chunk.subarray(completeBytes));
    return complete;
  }

  /** The event that has begun is larger than allowed. */
  get isOverfull(): boolean {
    return this.#pendingBytes > this.#eventBytesMax;
  }

  /** The engine has said `[DONE]`: whatever happens now, the answer is complete. */
  get isDone(): boolean {
    return this.#state.done;
  }

  /** The last thing that the engine has said was an error. */
  get hasFailed(): boolean {
    return this.#state.failed;
  }

  /** What was kept back, as a whole event; for a stream that ended after `[DONE]` without an empty line. */
  rest(): readonly Uint8Array[] {
    return this.#pendingBytes === 0 ? NOTHING : [...this.#pending, EVENT_END];
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }
}
