/** Where time comes from. Everything that waits takes one, so that tests can move time by hand. */
export interface Clock {
  /** Unix time in milliseconds: for records and messages, never for measuring. */
  nowMs(): number;
  /** Milliseconds since some fixed moment; never goes back, so waits and durations are measured with it. */
  monotonicMs(): number;
  /** Resolves after `ms` (Infinity: never by itself); rejects with `signal.reason` when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms` (Infinity: never); disposing cancels it. */
  after(ms: number, run: () => void): Disposable;
}

/** The real time of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
  after,
};

/**
 * How long until the next full `everyMs` of the clock. Looks that are made again and again and need no moment of their own
 * wait for the same ones, so that an idle process wakes once for all of them.
 */
export function untilNextRound(everyMs: number, clock: Pick<Clock, "monotonicMs">): number {
  return Math.ceil(everyMs - (clock.monotonicMs() % everyMs));
}

/** The longest wait of one Node timer; setTimeout turns a longer one into 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function after(ms: number, run: () => void): Disposable {
  return ms === Number.POSITIVE_INFINITY ? NEVER : new Wait(Math.max(0, ms), run);
}

const NEVER: Disposable = { [Symbol.dispose]: () => undefined };

/** One wait of the system clock. */
class Wait implements Disposable {
  readonly #endsAtMs: number;
  readonly #run: () => void;
  #timer: NodeJS.Timeout;

  constructor(ms: number, run: () => void) {
    this.#endsAtMs = performance.now() + ms;
    this.#run = run;
    this.#timer = setTimeout(Wait.#look, Math.min(ms, TIMER_MS_MAX), this);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  /** A Node timer may fire up to a millisecond early; whoever looks at the time in `run` must find it over. */
  static #look(wait: Wait): void {
    const restMs = wait.#endsAtMs - performance.now();
    if (restMs <= 0) wait.#run();
    else wait.#timer = setTimeout(Wait.#look, Math.min(restMs, TIMER_MS_MAX), wait);
  }
}

/** A sleep made of a clock's `after`; for the system clock and for the manual clocks of tests. */
function sleepOn(clock: Pick<Clock, "after">, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    function onAbort(): void {
      timer[Symbol.dispose]();
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
