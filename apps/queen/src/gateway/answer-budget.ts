import { formatBytes, QhError } from "@queen-and-hive/protocol";

/** Bounds the memory of all answers that are held: whole ones until their clients have them, events until they are complete. */
export class AnswerBudget {
  readonly #bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The share of one request; its end gives everything back. */
  open(): AnswerShare {
    return new AnswerShare(this);
  }

  /** Throws `queue_full` when that is more than all answers together may hold. */
  change(byBytes: number): void {
    if (byBytes > 0 && this.#held + byBytes > this.#bytesMax) throw full(this.#bytesMax);
    this.#held += byBytes;
  }
}

/** What one request holds of the budget. */
export class AnswerShare implements Disposable {
  readonly #budget: AnswerBudget;
  #mine = 0;

  constructor(budget: AnswerBudget) {
    this.#budget = budget;
  }

  /** So many bytes are held now. Throws `queue_full` when that is more than all answers together may hold. */
  hold(bytes: number): void {
    if (bytes === this.#mine) return;
    this.#budget.change(bytes - this.#mine);
    this.#mine = bytes;
  }

  [Symbol.dispose](): void {
    this.hold(0);
  }
}

function full(bytesMax: number): QhError {
  const message = `cannot take the answer: those of open requests would hold more than ${formatBytes(bytesMax)}; try again later`;
  return new QhError("queue_full", message, { retryAfterS: 1 });
}
