import type { Clock } from "@queen-and-hive/daemon";
import type { StreamLimits } from "./settings.ts";

const NEVER: Disposable = { [Symbol.dispose]: () => undefined };

/** A wait that has begun; `previous` and `next` make the list. */
class Wait implements Disposable {
  readonly list: TimeLimit;
  readonly endsAtMs: number;
  readonly run: () => void;
  previous: Wait | null;
  next: Wait | null = null;
  isOver = false;

  constructor(list: TimeLimit, endsAtMs: number, run: () => void, previous: Wait | null) {
    this.list = list;
    this.endsAtMs = endsAtMs;
    this.run = run;
    this.previous = previous;
  }

  [Symbol.dispose](): void {
    this.list.end(this);
  }
}

/**
 * The same time limit for many things at once: since all last equally long, the oldest ends first, and one timer of the
 * clock does for all of them. Beginning and ending a wait costs no timer.
 */
export class TimeLimit implements Disposable {
  readonly limitMs: number;
  readonly #clock: Clock;
  #first: Wait | null = null;
  #last: Wait | null = null;
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
    const wait = new Wait(this, this.#clock.monotonicMs() + this.limitMs, run, this.#last);
    if (this.#last === null) this.#first = wait;
    else this.#last.next = wait;
    this.#last = wait;
    if (this.#timer === null) this.#arm(this.limitMs);
    return wait;
  }

  /** The clock's timer stays as it is: it looks again when it fires. */
  end(wait: Wait): void {
    if (wait.isOver) return;
    wait.isOver = true;
    if (wait.previous === null) this.#first = wait.next;
    else wait.previous.next = wait.next;
    if (wait.next === null) this.#last = wait.previous;
    else wait.next.previous = wait.previous;
  }

  /** Ends all waits. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    while (this.#first !== null) this.end(this.#first);
  }

  #arm(afterMs: number): void {
    this.#timer = this.#clock.after(afterMs, () => this.#look());
  }

  #look(): void {
    try {
      const nowMs = this.#clock.monotonicMs();
      for (let wait = this.#first; wait !== null && wait.endsAtMs <= nowMs; wait = this.#first) {
        this.end(wait);
        wait.run();
      }
    } finally {
      this.#timer = null;
      if (this.#first !== null) this.#arm(this.#first.endsAtMs - this.#clock.monotonicMs());
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
}

/** One of each, for all requests of a gateway. */
export function createTimeLimits(clock: Clock, stream: StreamLimits, receiveMs: number): TimeLimits {
  const limits = {
    receive: new TimeLimit(clock, receiveMs),
    commit: new TimeLimit(clock, stream.commitAfterMs),
    firstByte: new TimeLimit(clock, stream.firstByteMs),
    idle: new TimeLimit(clock, stream.idleMs),
    keepAlive: new TimeLimit(clock, stream.keepAliveMs),
  };
  return {
    ...limits,
    [Symbol.dispose]: () => {
      for (const limit of Object.values(limits)) limit[Symbol.dispose]();
    },
  };
}
