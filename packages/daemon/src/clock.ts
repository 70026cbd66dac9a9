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

/** The longest wait of one Node timer; setTimeout turns a longer one into 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function after(ms: number, run: () => void): Disposable {
  if (ms === Number.POSITIVE_INFINITY) return { [Symbol.dispose]: () => undefined };
  const endsAtMs = performance.now() + Math.max(0, ms);
  let timer = setTimeout(next, Math.min(Math.max(0, ms), TIMER_MS_MAX));
  function next(): void {
    const restMs = endsAtMs - performance.now();

    // A Node timer may fire up to a millisecond early; whoever looks at the time in `run` must find it over.
    if (restMs <= 0) run();
    else timer = setTimeout(next, Math.min(restMs, TIMER_MS_MAX));
  }
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** A sleep made of a clock's `after`; for the system clock and for the manual clocks of tests. */
export function sleepOn(clock: Pick<Clock, "after">, ms: number, signal?: AbortSignal): Promise<void> {
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
