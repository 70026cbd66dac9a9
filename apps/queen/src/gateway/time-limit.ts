import { type Clock, LinkedList } from "@queen-and-hive/daemon";
import type { StreamLimits } from "./settings.ts";

const NEVER: Disposable = { [Symbol.dispose]: () => undefined };

interface Wait {
  readonly endsAtMs: number;
  readonly run: () => void;
}

/**
 * The same time limit for many things at once: since all last equally long, the oldest ends first, and one timer of the
 * clock does for all of them. Beginning and ending a wait costs no timer.
 */
export class TimeLimit implements Disposable {
  readonly limitMs: number;
  readonly #clock: Clock;
  readonly #waits = new LinkedList<Wait>();
  /** Not null while `#look` runs: what begins meanwhile is armed for at its end. */
  #timer: Disposable | null = null;

  /** `limitMs` Infinity: no limit. */
  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.limitMs = limitMs;
  }

  /** Calls `run` once after `limitMs`; disposing the result cancels it. */
  start(run: () => void): Disposable {
    if (this.limitMs === Number.POSITIVE_INFINITY) return NEVER;
    const wait = this.#waits.add({ endsAtMs: this.#clock.monotonicMs() + this.limitMs, run });
    // The clock's timer stays as it is when a wait ends: it looks again when it fires.
    if (this.#timer === null) this.#arm(this.limitMs);
    return wait;
  }

  /** Ends all waits. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (let wait = this.#waits.first; wait !== null; wait = this.#waits.first) wait[Symbol.dispose]();
  }

  #arm(afterMs: number): void {
    this.#timer = this.#clock.after(afterMs, () => this.#look());
  }

  #look(): void {
    try {
      const nowMs = this.#clock.monotonicMs();
      for (let wait = this.#waits.first; wait !== null && wait.value.endsAtMs <= nowMs; wait = this.#waits.first) {
        wait[Symbol.dispose]();
        wait.value.run();
      }
    } finally {
      this.#timer = null;
      const { first } = this.#waits;
      if (first !== null) this.#arm(first.value.endsAtMs - this.#clock.monotonicMs());
    }
  }
}

/** The time limits that every request begins and ends. */
export interface TimeLimits extends Disposable {
  /** For a request to arrive. */
  readonly receive: TimeLimit;
  /** For a stream to begin, before its headers are sent without it. */
  readonly commit: TimeLimit;
  readonly firstByte: TimeLimit;
  /** Between two bytes of an engine's answer. */
  readonly idle: TimeLimit;
  readonly keepAlive: TimeLimit;
  /** For an engine to talk on, or keep its connection to itself, after the last event of its answer. */
  readonly tail: TimeLimit;
}

const TAIL_MS = 1_000;

/** One of each, for all requests of a gateway. */
export function createTimeLimits(clock: Clock, stream: StreamLimits, receiveMs: number): TimeLimits {
  const limits = {
    receive: new TimeLimit(clock, receiveMs),
    commit: new TimeLimit(clock, stream.commitAfterMs),
    firstByte: new TimeLimit(clock, stream.firstByteMs),
    idle: new TimeLimit(clock, stream.idleMs),
    keepAlive: new TimeLimit(clock, stream.keepAliveMs),
    tail: new TimeLimit(clock, TAIL_MS),
  };
  return {
    ...limits,
    [Symbol.dispose]: () => {
      for (const limit of Object.values(limits)) limit[Symbol.dispose]();
    },
  };
}
