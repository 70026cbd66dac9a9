/** How long what comes may keep everything else waiting in one turn of the event loop; shorter turns are not noticed by large bodies. */
const TURN_MS = 2;
/** The same while connections come: the next one may be anybody's. */
const HURRIED_TURN_MS = 0.5;
/** So long after a connection more may come. */
const HURRY_MS = 5;
/** So many turns with a new connection may go by without anything else. */
const RESTS_MAX = 16;

/**
 * The connections that have come. Node takes in one a turn, however many wait: all shares rest until a turn has brought none,
 * or for as long as whoever has work can be asked to wait.
 */
class Arrivals {
  #hurriesUntilMs = Number.NEGATIVE_INFINITY;
  #inThisTurn = false;
  #inLastTurn = false;
  #rests = 0;

  come(): void {
    this.#hurriesUntilMs = performance.now() + HURRY_MS;
    if (!this.#inThisTurn && !this.#inLastTurn) setImmediate(() => this.#turnOver());
    this.#inThisTurn = true;
  }

  /** How long a share may work that begins now, milliseconds; 0: not at all. */
  workMs(nowMs: number): number {
    if ((this.#inThisTurn || this.#inLastTurn) && this.#rests < RESTS_MAX) return 0;
    return nowMs < this.#hurriesUntilMs ? HURRIED_TURN_MS : TURN_MS;
  }

  #turnOver(): void {
    this.#inLastTurn = this.#inThisTurn;
    this.#inThisTurn = false;
    this.#rests = this.#inLastTurn && this.#rests < RESTS_MAX ? this.#rests + 1 : 0;
    if (this.#inLastTurn) setImmediate(() => this.#turnOver());
  }
}

const arrivals = new Arrivals();

/** A connection has come: shares rest or are small until no more come. */
export function hurryTurns(): void {
  arrivals.come();
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
    this.#endsMs = nowMs + arrivals.workMs(nowMs);
    setImmediate(() => {
      this.#isOpen = false;
      if (this.#waiting.length > 0) this.#work();
    });
  }

  #work(): void {
    this.#awaitTurn();
    while (this.#waiting.length > 0 && performance.now() < this.#endsMs) this.#waiting.shift()?.();
  }
}

/** For all bodies of the process that are wanted and the parsing of all chunks: nothing else waits for all that has come of them. */
export const loopShare = new LoopShare();
