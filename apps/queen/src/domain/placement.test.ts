import { describe, expect, it } from "vitest";
import { type PlacementHive, placeWorker } from "./placement.ts";

const ANYWHERE = { hives: null, labels: {} };

function hive(hiveId: string, more: Partial<PlacementHive> = {}): PlacementHive {
  return { hiveId, usable: true, arriving: false, labels: {}, workersOfModel: 0, workers: 0, ...more };
}

describe("the place of one more worker", () => {
  it("is a hive without one of its model, then the one with the fewest workers, then the first by name", () => {
    expect(placeWorker(ANYWHERE, [hive("a", { workersOfModel: 1, workers: 1 }), hive("b", { workers: 5 })])).toBe("b");
    expect(placeWorker(ANYWHERE, [hive("a", { workers: 2 }), hive("b", { workers: 1 })])).toBe("b");
    expect(placeWorker(ANYWHERE, [hive("b"), hive("a")])).toBe("a");
  });

  it("is only where the model may run and a hive can take it", () => {
    expect(placeWorker({ hives: ["b"], labels: {} }, [hive("a"), hive("b", { usable: false })])).toBeNull();
    expect(placeWorker({ hives: null, labels: { gpu: "big" } }, [hive("a"), hive("b", { labels: { gpu: "big" } })])).toBe("b");
  });

  it("waits for a hive that is being started when that would be the better one, but never with the first worker", () => {
    const arriving = hive("b", { usable: false, arriving: true });
    expect(placeWorker(ANYWHERE, [hive("a"), arriving])).toBe("a");
    expect(placeWorker(ANYWHERE, [hive("a", { workersOfModel: 1 }), arriving])).toBeNull();
    expect(placeWorker(ANYWHERE, [hive("a", { workersOfModel: 1 }), hive("b", { usable: false })])).toBe("a");
    expect(placeWorker({ hives: ["a"], labels: {} }, [hive("a", { workersOfModel: 1 }), arriving])).toBe("a");
  });
});
