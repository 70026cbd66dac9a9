import { QhError } from "@queen-and-hive/protocol";
import { type Clock, systemClock } from "./clock.ts";

/** An AbortSignal that must be disposed when the work is over, so that no timer and no listener stays behind. */
export type DisposableSignal = AbortSignal & Disposable;

/** The moment by which something must be done. Budgets are handed down as deadlines, never as fresh timeouts. */
export class Deadline {
  readonly #endsAtMs: number;
  readonly #clock: Clock;

  private constructor(endsAtMs: number, clock: Clock) {
    this.#endsAtMs = endsAtMs;
    this.#clock = clock;
  }

  /** A deadline `ms` from now; Infinity never ends. */
  static in(ms: number, clock: Clock = systemClock): Deadline {
    return new Deadline(clock.monotonicMs() + ms, clock);
  }

  /** A deadline that never ends. */
  static never(clock: Clock = systemClock): Deadline {
    return new Deadline(Number.POSITIVE_INFINITY, clock);
  }

  /** Milliseconds left, at least 0; Infinity when it never ends. */
  remainingMs(): number {
    return Math.max(0, this.#endsAtMs - this.#clock.monotonicMs());
  }

  /** Whether the moment has passed. */
  get expired(): boolean {
    return this.remainingMs() === 0;
  }

  /** A deadline that ends `ms` before this one: what is left for a step that others follow. */
  earlier(ms: number): Deadline {
    return new Deadline(this.#endsAtMs - ms, this.#clock);
  }

  /** The one of two deadlines that ends first. */
  min(other: Deadline): Deadline {
    return other.remainingMs() < this.remainingMs() ? other : this;
  }

  /**
   * A signal that is aborted with `deadline_exceeded` at the deadline, or earlier with the parent's own reason.
   * Hold it with `using`: disposing it removes its timer and its listener; it is then never aborted again.
   */
  signal(parent?: AbortSignal): DisposableSignal {
    const controller = new AbortController();
    const startedWithMs = this.remainingMs();
    const timer = this.#clock.after(startedWithMs, () => {
      stopListening();
      controller.abort(
        new QhError("deadline_exceeded", `cannot finish in time: the ${Math.round(startedWithMs)} ms that were left are over`),
      );
    });
    const onParentAbort = (): void => {
      timer[Symbol.dispose]();
      controller.abort(parent?.reason);
    };
    const stopListening = (): void => parent?.removeEventListener("abort", onParentAbort);
    if (parent?.aborted === true) onParentAbort();
    else parent?.addEventListener("abort", onParentAbort, { once: true });
    return Object.assign(controller.signal, {
      [Symbol.dispose]: (): void => {
        timer[Symbol.dispose]();
        stopListening();
      },
    });
  }
}
