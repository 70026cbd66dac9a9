import { getEventListeners } from "node:events";
import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import type { Clock } from "./clock.ts";
import { Deadline } from "./deadline.ts";

/** A clock that stands still until it is moved, and knows its timers. */
function standingClock(): Clock & { move(ms: number): void; readonly timers: number } {
  let nowMs = 0;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.reject(new Error("not used here")),
    after: (ms, run) => {
      const timer = { atMs: nowMs + ms, run };
      timers.add(timer);
      return { [Symbol.dispose]: () => void timers.delete(timer) };
    },
    move: (ms) => {
      nowMs += ms;
      for (const timer of [...timers]) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
    },
    get timers() {
      return timers.size;
    },
  };
}

describe("a deadline", () => {
  it("counts down to zero and no further", () => {
    const clock = standingClock();
    const deadline = Deadline.in(100, clock);
    clock.move(60);
    expect([deadline.remainingMs(), deadline.expired]).toEqual([40, false]);
    clock.move(60);
    expect([deadline.remainingMs(), deadline.expired]).toEqual([0, true]);
  });

  it("keeps time for what comes after a step", () => {
    const clock = standingClock();
    const deadline = Deadline.in(100, clock);
    expect(deadline.earlier(30).remainingMs()).toBe(70);
    expect(deadline.earlier(300).expired).toBe(true);
    expect(Deadline.never(clock).earlier(30).remainingMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it("is the earlier one of two", () => {
    const [early, late] = [Deadline.in(10), Deadline.in(1_000)];
    expect([early.min(late), late.min(early), Deadline.never().min(early)]).toEqual([early, early, early]);
  });

  it("aborts its signal with deadline_exceeded", () => {
    const clock = standingClock();
    using signal = Deadline.in(100, clock).signal();
    clock.move(99);
    expect(signal.aborted).toBe(false);
    clock.move(1);
    expect(signal.reason).toBeInstanceOf(QhError);
    expect(signal.reason).toMatchObject({
      kind: "deadline_exceeded",
      message: "cannot finish in time: the 100 ms that were left are over",
    });
  });

  it("aborts its signal with the parent's reason when that comes first, and needs its timer no longer", () => {
    const clock = standingClock();
    const parent = new AbortController();
    using signal = Deadline.in(100, clock).signal(parent.signal);
    parent.abort("left");
    expect([signal.reason, clock.timers]).toEqual(["left", 0]);
    using late = Deadline.in(100, clock).signal(parent.signal);
    expect([late.reason, clock.timers]).toEqual(["left", 0]);
  });

  it("leaves neither timer nor listener behind once its signal is disposed", () => {
    const clock = standingClock();
    const parent = new AbortController();
    for (let round = 0; round < 3; round += 1) {
      using signal = Deadline.in(100, clock).signal(parent.signal);
      expect([signal.aborted, clock.timers, getEventListeners(parent.signal, "abort").length]).toEqual([false, 1, 1]);
    }
    expect([clock.timers, getEventListeners(parent.signal, "abort").length]).toEqual([0, 0]);
  });
});
