import type { Clock } from "@queen-and-hive/daemon";
import type { TimeLimit } from "./time-limit.ts";

/**
 * Notices silence without a timer per event: `touch` only writes down the time, and one timer looks again when the
 * silence could have become long enough.
 */
export class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #limit: TimeLimit;
  readonly #onSilence: () => void;
  #lastMs: number;
  #timer: Disposable | null = null;

  /** Starts now; `onSilence` is called each time that the limit has passed without a `touch`. Infinity never calls. */
  constructor(clock: Clock, limit: TimeLimit, onSilence: () => void) {
    this.#clock = clock;
    this.#limit = limit;
    this.#onSilence = onSilence;
    this.#lastMs = clock.monotonicMs();
    this.#timer = limit.start(() => this.#look());
  }

  /** Something was heard. */
  touch(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #look(): void {
    const leftMs = this.#lastMs + this.#limit.limitMs - this.#clock.monotonicMs();
    if (leftMs > 0) {
      this.#timer = this.#clock.after(leftMs, () => this.#look());
      return;
    }
    this.touch();
    this.#timer = this.#limit.start(() => this.#look());
    this.#onSilence();
  }
}
