import { formatBytes, QhError } from "@queen-and-hive/protocol";

/** What one request holds of the budget. */
export interface BodyShare extends Disposable {
  /** Some more bytes have come. Throws `queue_full` when that is more than all requests together may hold. */
  take(bytes: number): void;
}

/** Bounds the memory of all bodies that are held, since each is kept until its request has ended: it may be tried again. */
export class BodyBudget {
  readonly #bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The share of one request; its end gives everything back. */
  open(): BodyShare {
    let mine = 0;
    return {
      take: (bytes) => {
        if (this.#held + bytes > this.#bytesMax) throw full(this.#bytesMax);
        mine += bytes;
        this.#held += bytes;
      },
      [Symbol.dispose]: () => {
        this.#held -= mine;
        mine = 0;
      },
    };
  }
}

function full(bytesMax: number): QhError {
  const message = `cannot take the body: those of open requests would hold more than ${formatBytes(bytesMax)}; try again later`;
  return new QhError("queue_full", message, { retryAfterS: 1 });
}
