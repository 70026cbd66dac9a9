import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CountedWorker, planStandInsEnd } from "./stand-ins.ts";

const LOST = "2026-01-01T00:00:05.000Z";

const NONE: ReadonlySet<string> = new Set();

function worker(workerId: string, hiveId: string, second: number, isReady = true): CountedWorker {
  return { workerId, hiveId, decidedAt: `2026-01-01T00:00:0${second}.000Z`, isReady };
}

const back = (settled = NONE) => ({ hiveId: "back", lostSince: LOST, settled });

describe("planStandInsEnd", () => {
  it("ends as many stand-ins as the hive brings back, the newest first, and nothing that was there before", () => {
    const workers = [
      worker("old", "other", 1),
      worker("mine", "back", 2),
      worker("first", "other", 6),
      worker("second", "third", 7),
    ];
    const over = { settled: ["mine"], isOver: true };
    expect(planStandInsEnd(workers, back(), 9)).toEqual({ ...over, ending: ["second"] });
    expect(planStandInsEnd(workers, back(), 2)).toEqual({ ...over, ending: ["second", "first"] });
    expect(planStandInsEnd([worker("old", "other", 1), worker("mine", "back", 2)], back(), 9)).toEqual({ ...over, ending: [] });
  });

  it("waits for a worker of the hive that is not ready yet, also where there are more than the maximum meanwhile", () => {
    const standIn = worker("theirs", "other", 6);
    const loading = planStandInsEnd([worker("mine", "back", 2, false), standIn], back(), 1);
    expect(loading).toEqual({ ending: [], settled: [], isOver: false });
    const ready = planStandInsEnd([worker("mine", "back", 2), standIn], back(), 1);
    expect(ready).toEqual({ ending: ["theirs"], settled: ["mine"], isOver: true });
  });

  it("ends nobody twice for one worker that is back", () => {
    const workers = [worker("one", "back", 1), worker("two", "back", 2, false), worker("left", "other", 6)];
    const settled = new Set(["one"]);
    expect(planStandInsEnd(workers, back(settled), 9)).toEqual({ ending: [], settled: [], isOver: false });
  });

  it("ends nothing for a hive that brings nothing, or only what it was given since", () => {
    expect(planStandInsEnd([worker("only", "other", 6)], back(), 1)).toEqual({ ending: [], settled: [], isOver: true });
    const fresh = planStandInsEnd([worker("only", "other", 6), worker("fresh", "back", 7)], back(), 2);
    expect(fresh).toEqual({ ending: [], settled: [], isOver: true });
  });

  it("never ends a worker of the hive that is back, holds the maximum, and leaves as many serving as were while it was away", () => {
    const one = fc.record({
      hiveId: fc.constantFrom("back", "other", "third"),
      second: fc.integer({ min: 0, max: 9 }),
      isReady: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), fc.integer({ min: 0, max: 8 }), (drawn, max) => {
        const workers = drawn.map(({ hiveId, second, isReady }, index) => worker(`w${index}`, hiveId, second, isReady));
        const ended = new Set(planStandInsEnd(workers, back(), max).ending);
        const left = workers.filter(({ workerId }) => !ended.has(workerId));
        const returned = workers.filter(({ hiveId }) => hiveId === "back");
        const onTheirWay = returned.filter(({ isReady, decidedAt }) => !isReady && decidedAt < LOST);
        for (const { workerId } of returned) expect(ended.has(workerId)).toBe(false);
        expect(left.length - onTheirWay.length).toBeLessThanOrEqual(Math.max(max, returned.length));
        // Never fewer than were there without the hive, as far as the maximum lets them: one on its way replaces nobody.
        const before = workers.length - returned.length;
        expect(left.length - onTheirWay.length).toBeGreaterThanOrEqual(Math.min(before, max));
      }),
    );
  });
});
