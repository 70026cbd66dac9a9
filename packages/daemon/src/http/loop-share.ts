/** How long what comes may keep everything else waiting in one turn of the event loop; shorter turns are not noticed by large bodies. */
const TURN_MS = 2;
/** The same while new connections come: the next one may be anybody's. */
const HURRIED_TURN_MS = 0.5;
/** So long after a connection more may come. */
const HURRY_MS = 5;
/** So many turns in a row, each with a new connection, may go by while work waits. */
const RESTS_MAX = 16;

let connectionsCome = 0;
let hurriesUntilMs = Number.NEGATIVE_INFINITY;

/** A connection has come: shares rest while more come, and are small for a while. */
export function hurryTurns(): void {
  connectionsCome += 1;
  hurriesUntilMs = performance.now() + HURRY_MS;
}

/**
 * How much of the event loop those may have who read what comes. A socket gives Node up to 2 MiB at a time, a body may come in
 * chunks of one byte, and a byte of JSON costs more or less by what it is: so it is time that is shared, not bytes. Work that
 * has to wait is done in the order in which it came, in the next turns. Node takes in one connection a turn, however many wait:
 * work that waits rests while each turn brings one, for as long as whoever waits can be asked to.
 */
export class LoopShare {
  readonly #restsMax: number;
  #endsMs = 0;
  #isOpen = false;
  #rests = 0;
  #connectionsSeen = 0;
  readonly #waiting: (() => void)[] = [];

  /** With `restsMax` 0 it never rests: for work that is next to nothing. */
  constructor(restsMax = RESTS_MAX) {
    this.#restsMax = restsMax;
  }

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
    if (this.#mustRest()) return;
    do this.#waiting.shift()?.();
    while (this.#waiting.length > 0 && performance.now() < this.#endsMs);
  }

  /** A connection has come since this was asked last, a turn ago. */
  #mustRest(): boolean {
    const isAnyNew = connectionsCome !== this.#connectionsSeen;
    this.#connectionsSeen = connectionsCome;
    this.#rests = isAnyNew && this.#rests < this.#restsMax ? this.#rests + 1 : 0;
    return this.#rests > 0;
  }
}

/** For all bodies of the process that are wanted and the parsing of all chunks: nothing else waits for all that has come of them. */
export const loopShare = new LoopShare();
