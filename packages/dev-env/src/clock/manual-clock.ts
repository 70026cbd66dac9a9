import type { Clock } from "@queen-and-hive/daemon";

/** 2030-01-01T00:00:00Z: far from today, so that a test that reads the real clock by mistake shows. */
const START_MS = 1_893_456_000_000;

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A Clock that moves only when a test says so. Both of its times start anew with each instance. */
export class ManualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #elapsedMs = 0;
  #order = 0;

  nowMs(): number {
    return START_MS + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(ms: number, run: () => void): Disposable {
    const timer: Timer = { dueMs: this.#elapsedMs + Math.max(0, ms), order: this.#order, run };
    this.#order += 1;
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(asError(signal.reason));
      const timer = this.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = (): void => {
        timer[Symbol.dispose]();
        reject(asError(signal?.reason));
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** How many timers and sleepers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; null when none waits. Infinite waits count as none. */
  get nextInMs(): number | null {
    const next = this.#next(Number.MAX_VALUE);
    return next === null ? null : Math.max(0, next.dueMs - this.#elapsedMs);
  }

  /**
   * Lets `ms` pass. Timers run in the order in which they are due, each at its own time, those set meanwhile included;
   * after each one, everything that it has woken runs until it waits again.
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#next(endMs); next !== null; next = this.#next(endMs)) {
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.run();
      await settle();
    }
    this.#elapsedMs = endMs;
  }

  /** Lets `ms` pass in which nothing runs, as when this process is stopped: all that was due meanwhile is due now. */
  stall(ms: number): void {
    this.#elapsedMs += ms;
  }

  /** Jumps to the next timer and runs it; false when none waits. */
  async advanceToNext(): Promise<boolean> {
    const ms = this.nextInMs;
    if (ms === null) return false;
    await this.advance(ms);
    return true;
  }

  #next(untilMs: number): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (next === null || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
    }
    return next;
  }
}

/** Two turns of the event loop: promise chains and the immediates that they queue come to rest. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
