import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CountedWorker, planStandInsEnd } from "./stand-ins.ts";

const LOST = "2026-01-01T00:00:05.000Z";

function worker(workerId: string, hiveId: string, second: number): CountedWorker {
  return { workerId, hiveId, decidedAt: `2026-01-01T00:00:0${second}.000Z` };
}

describe("planStandInsEnd", () => {
  it("ends as many stand-ins as the hive brings back, the newest first, and nothing that was there before", () => {
    const workers = [
      worker("old", "other", 1),
      worker("mine", "back", 2),
      worker("first", "other", 6),
      worker("second", "third", 7),
    ];
    expect(planStandInsEnd(workers, "back", LOST, 9)).toEqual(["second"]);
    expect(planStandInsEnd(workers, "back", LOST, 2)).toEqual(["second", "first"]);
    expect(planStandInsEnd([worker("old", "other", 1), worker("mine", "back", 2)], "back", LOST, 9)).toEqual([]);
  });

  it("ends nothing for a hive that brings nothing", () => {
    expect(planStandInsEnd([worker("only", "other", 6)], "back", LOST, 1)).toEqual([]);
  });

  it("never ends a worker of the hive that is back, holds the maximum, and leaves as many as counted while it was away", () => {
    const one = fc.record({
      hiveId: fc.constantFrom("back", "other", "third"),
      second: fc.integer({ min: 0, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), fc.integer({ min: 0, max: 8 }), (drawn, max) => {
        const workers = drawn.map(({ hiveId, second }, index) => worker(`w${index}`, hiveId, second));
        const ended = new Set(planStandInsEnd(workers, "back", LOST, max));
        const left = workers.filter(({ workerId }) => !ended.has(workerId));
        const returned = workers.filter(({ hiveId }) => hiveId === "back");
        for (const { workerId } of returned) expect(ended.has(workerId)).toBe(false);
        expect(left.length).toBeLessThanOrEqual(Math.max(max, returned.length));
        // Never fewer than were there without the hive, as far as the maximum lets them.
        expect(left.length).toBeGreaterThanOrEqual(Math.min(workers.length - returned.length, max));
      }),
    );
  });
});
