import { Deadline } from "@queen-and-hive/daemon";
import { describe, expect, it } from "vitest";
import { ManualClock } from "./manual-clock.ts";

describe("a manual clock", () => {
  it("stands still until it is told to move", async () => {
    const clock = new ManualClock();
    const before = clock.nowMs();
    await clock.advance(0);
    expect([clock.monotonicMs(), clock.nowMs() - before]).toEqual([0, 0]);
  });

  it("runs timers in the order in which they are due, each at its own time", async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    clock.after(30, () => seen.push(`late ${clock.monotonicMs()}`));
    clock.after(10, () => seen.push(`early ${clock.monotonicMs()}`));
    clock.after(10, () => seen.push(`second ${clock.monotonicMs()}`));
    await clock.advance(20);
    expect(seen).toEqual(["early 10", "second 10"]);
    await clock.advance(20);
    expect(seen.at(-1)).toBe("late 30");
    expect(clock.monotonicMs()).toBe(40);
  });

  it("lets what a timer wakes set further timers within the same advance", async () => {
    const clock = new ManualClock();
    const wokenAt: number[] = [];
    const loop = (async () => {
      for (let round = 0; round < 3; round += 1) {
        await clock.sleep(10);
        wokenAt.push(clock.monotonicMs());
      }
    })();
    await clock.advance(100);
    await loop;
    expect(wokenAt).toEqual([10, 20, 30]);
  });

  it("forgets a disposed timer and rejects an aborted sleep with the signal's reason", async () => {
    const clock = new ManualClock();
    const timer = clock.after(10, () => expect.unreachable("it was disposed"));
    timer[Symbol.dispose]();
    const abort = new AbortController();
    const sleep = clock.sleep(10, abort.signal);
    abort.abort(new Error("enough"));
    await expect(sleep).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
    await clock.advance(20);
  });

  it("never ends a wait without end", async () => {
    const clock = new ManualClock();
    clock.after(Number.POSITIVE_INFINITY, () => expect.unreachable("it never ends"));
    await clock.advance(1e12);
    expect([clock.nextInMs, await clock.advanceToNext()]).toEqual([null, false]);
  });

  it("runs after a stall what was due meanwhile, in its order and late", async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    clock.after(20, () => seen.push(`second ${clock.monotonicMs()}`));
    clock.after(10, () => {
      seen.push(`first ${clock.monotonicMs()}`);
      clock.after(10, () => seen.push(`third ${clock.monotonicMs()}`));
    });
    clock.stall(100);
    expect(seen).toEqual([]);
    await clock.advance(10);
    expect(seen).toEqual(["first 100", "second 100", "third 110"]);
  });

  it("drives a Deadline", async () => {
    const clock = new ManualClock();
    const deadline = Deadline.in(100, clock);
    await clock.advance(99);
    expect(deadline.expired).toBe(false);
    await clock.advance(1);
    expect(deadline.expired).toBe(true);
  });

  it.each([[[50]], [[25, 25]], [[1, 9, 40]], [[0, 13, 13, 24]]])(
    "fires each timer once and at its time, with time cut up as %j",
    async (steps) => {
      const clock = new ManualClock();
      const firedAt: number[] = [];
      const delays = [0, 1, 13, 13, 26, 49, 50, 51];
      for (const ms of delays) clock.after(ms, () => firedAt.push(clock.monotonicMs()));
      for (const ms of steps) await clock.advance(ms);
      expect(firedAt).toEqual([0, 1, 13, 13, 26, 49, 50]);
      expect([clock.pending, clock.nextInMs]).toEqual([1, 1]);
    },
  );
});
