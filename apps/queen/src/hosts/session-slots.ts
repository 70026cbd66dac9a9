/** Sessions of one SSH connection at the same time; those beyond wait in line. */
export class SessionSlots {
  #max: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Sessions that are open or being opened. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes a slot, waiting in line for it; gives up with the signal's reason. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#taken < this.#max) {
      this.#taken += 1;
      return;
    }
    const turn = Promise.withResolvers<void>();
    const go = (): void => turn.resolve();
    const giveUp = (): void => {
      const place = this.#waiting.indexOf(go);
      if (place >= 0) this.#waiting.splice(place, 1);
      turn.reject(signal.reason);
    };
    this.#waiting.push(go);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Gives a slot back; the first in line has it then. */
  release(): void {
    this.#taken -= 1;
    while (this.#taken < this.#max && this.#waiting.length > 0) {
      this.#taken += 1;
      this.#waiting.shift()?.();
    }
  }

  /** The server has refused one more session beside the others: gives the slot back and asks for no more than it allows. */
  refused(): void {
    this.#max = Math.max(1, this.#taken - 1);
    this.release();
  }
}
