/** What is read in one turn of the event loop: some 2 to 5 ms of work. */
const TURN_BYTES = 1_048_576;
/** What a chunk costs beside its bytes, in bytes: many small ones are as much work as a large one. */
const CHUNK_BYTES = 128;

/**
 * How much of the event loop those may have who read what comes. A socket gives Node up to 2 MiB at a time, and a body may
 * come in chunks of one byte: what a few such clients send would keep everybody else waiting.
 */
export class LoopShare {
  #left = TURN_BYTES;
  #isOpen = false;
  readonly #waiting: (() => void)[] = [];

  /** Counts a chunk that has been read in this turn. False: read no more before `afterTurn`. */
  take(bytes: number): boolean {
    this.#left -= bytes + CHUNK_BYTES;
    this.#awaitTurn();
    return this.#left > 0;
  }

  /** Calls back in the next turn, when everything else has had its own. */
  afterTurn(resume: () => void): void {
    this.#waiting.push(resume);
    this.#awaitTurn();
  }

  #awaitTurn(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    setImmediate(() => {
      this.#isOpen = false;
      this.#left = TURN_BYTES;
      for (const resume of this.#waiting.splice(0)) resume();
    });
  }
}
