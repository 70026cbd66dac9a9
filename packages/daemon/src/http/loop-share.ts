/** How long what comes may keep everything else waiting in one turn of the event loop; shorter turns are not noticed by large bodies. */
const TURN_MS = 2;
/** The same while new connections come: Node takes in one a turn, however many wait, and the next may be anybody's. */
const HURRIED_TURN_MS = 0.2;
/** So long after a connection more may be waiting. */
const HURRY_MS = 5;

let hurriesUntilMs = Number.NEGATIVE_INFINITY;

/** A connection has come: for a while all shares are small. */
export function hurryTurns(): void {
  hurriesUntilMs = performance.now() + HURRY_MS;
}

/**
 * How much of the event loop those may have who read what comes. A socket gives Node up to 2 MiB at a time, a body may come in
 * chunks of one byte, and a byte of JSON costs more or less by what it is: so it is time that is shared, not bytes. Work that
 * has to wait is done in the order in which it came, in the next turns.
 */
export class LoopShare {
  #endsMs = 0;
  #isOpen = false;
  readonly #waiting: (() => void)[] = [];

  /** The time of this turn is over, or others wait already: whatever has come now has to wait by `afterTurn`. */
  get isSpent(): boolean {
    this.#awaitTurn();
    return this.#waiting.length > 0 || performance.now() >= this.#endsMs;
  }

  /** Does this work in one of the next turns, when everything else has had its own. */
  afterTurn(work: () => void): void {
    this.#waiting.push(work);
    this.#awaitTurn();
  }

  #awaitTurn(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    const nowMs = performance.now();
    this.#endsMs = nowMs + (nowMs < hurriesUntilMs ? HURRIED_TURN_MS : TURN_MS);
    setImmediate(() => {
      this.#isOpen = false;
      if (this.#waiting.length > 0) this.#work();
    });
  }

  #work(): void {
    this.#awaitTurn();
    do this.#waiting.shift()?.();
    while (this.#waiting.length > 0 && performance.now() < this.#endsMs);
  }
}

/** For all bodies of the process that are wanted and the parsing of all chunks: nothing else waits for all that has come of them. */
export const loopShare = new LoopShare();
