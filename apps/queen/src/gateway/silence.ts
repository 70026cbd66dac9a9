import type { Clock } from "@queen-and-hive/daemon";

/**
 * Notices silence without a timer per event: `touch` only writes down the time, and one timer looks again when the
 * silence could have become long enough.
 */
export class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onSilence: () => void;
  #lastMs: number;
  #timer: Disposable | null = null;

  /** Starts now; `onSilence` is called each time that `limitMs` have passed without a `touch`. Infinity never calls. */
  constructor(clock: Clock, limitMs: number, onSilence: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onSilence = onSilence;
    this.#lastMs = clock.monotonicMs();
    this.#arm(limitMs);
  }

  /** Something was heard. */
  touch(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #arm(afterMs: number): void {
    this.#timer = this.#clock.after(afterMs, () => this.#look());
  }

  #look(): void {
    const leftMs = this.#lastMs + this.#limitMs - this.#clock.monotonicMs();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.touch();
    this.#arm(this.#limitMs);
    this.#onSilence();
  }
}
