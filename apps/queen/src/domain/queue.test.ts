import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  estimatedWaitMs,
  nextServiceMs,
  readQueueClock,
  remainingWaitMs,
  retryAfterS,
  startQueueClock,
  switchQueueClock,
  type WaitMode,
  waitedSince,
} from "./queue.ts";

describe("the clocks of a queue", () => {
  it("count waiting for a slot and waiting for a load apart", () => {
    const loading = startQueueClock("load", 1_000);
    const entry = readQueueClock(loading, 2_000);
    const serving = switchQueueClock(loading, "slot", 62_000);
    const waited = waitedSince(entry, readQueueClock(serving, 62_500));
    expect(waited).toEqual({ loadMs: 60_000, slotMs: 500 });
    expect(remainingWaitMs(waited, "slot", { maxWaitMs: 1_000, loadWaitMs: 30_000 })).toBe(500);
    expect(remainingWaitMs(waited, "load", { maxWaitMs: 1_000, loadWaitMs: 30_000 })).toBeLessThan(0);
  });

  it("together always show the time that has passed, whatever the modes were", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom<WaitMode>("slot", "load"), fc.integer({ min: 0, max: 10_000 })));
    fc.assert(
      fc.property(steps, (changes) => {
        let nowMs = 0;
        let clock = startQueueClock("load", nowMs);
        for (const [mode, passedMs] of changes) {
          const before = readQueueClock(clock, nowMs);
          nowMs += passedMs;
          clock = switchQueueClock(clock, mode, nowMs);
          const after = readQueueClock(clock, nowMs);
          expect(after.slotMs + after.loadMs).toBe(nowMs);
          expect(after.slotMs).toBeGreaterThanOrEqual(before.slotMs);
          expect(after.loadMs).toBeGreaterThanOrEqual(before.loadMs);
        }
      }),
    );
  });

  it("never let a limit of off run out", () => {
    const limits = { maxWaitMs: Number.POSITIVE_INFINITY, loadWaitMs: 1 };
    expect(remainingWaitMs({ slotMs: 1e12, loadMs: 0 }, "slot", limits)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("retryAfterS", () => {
  it("grows with the queue and with what a request takes, shrinks with slots, and stays within 1 and 60 seconds", () => {
    expect(retryAfterS({ waiting: 100, slots: 4, serviceMs: 2_000 })).toBe(25);
    expect(retryAfterS({ waiting: 100, slots: 8, serviceMs: 2_000 })).toBe(13);
    expect(retryAfterS({ waiting: 1, slots: 8, serviceMs: 10 })).toBe(1);
    expect(retryAfterS({ waiting: 1e6, slots: 1, serviceMs: 60_000 })).toBe(60);
    expect(retryAfterS({ waiting: 5, slots: 0, serviceMs: 0 })).toBe(10);
  });
});

describe("estimatedWaitMs", () => {
  it("counts who is ahead, the slots, and what a request took lately, and says nothing that is not known", () => {
    expect(estimatedWaitMs(0, { slots: 4, serviceMs: 2_000 })).toBe(500);
    expect(estimatedWaitMs(7, { slots: 4, serviceMs: 2_000 })).toBe(4_000);
    expect(estimatedWaitMs(7, { slots: 0, serviceMs: 2_000 })).toBeNull();
    expect(estimatedWaitMs(7, { slots: 4, serviceMs: 0 })).toBeNull();
  });
});

describe("nextServiceMs", () => {
  it("starts with the first request and follows later ones slowly", () => {
    expect(nextServiceMs(0, 500)).toBe(500);
    expect(nextServiceMs(500, 1_000)).toBe(600);
  });
});
