import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mayRunOn, type PlacementHive, placeWorker } from "./placement.ts";

const GIB = 1_073_741_824;
const ANYWHERE = { hives: null, labels: {} };
const ONE = { devices: 1, memoryBytes: null };

const hive = (hiveId: string, more: Partial<PlacementHive> = {}): PlacementHive => ({
  hiveId,
  hostName: `host of ${hiveId}`,
  usable: true,
  arriving: false,
  labels: {},
  workersOfModel: 0,
  workers: 0,
  freeBytes: null,
  ...more,
});

describe("placeWorker", () => {
  it("puts workers of one model on different hives first, whatever is free where", () => {
    const hives = [hive("a", { workersOfModel: 1, freeBytes: [80 * GIB] }), hive("b", { workers: 3, freeBytes: [4 * GIB] })];
    expect(placeWorker(ANYWHERE, hives, ONE)).toBe("b");
  });

  it("puts workers of one model on different hosts before it takes another hive of the same host", () => {
    const pair = [hive("a", { hostName: "one", workersOfModel: 1 }), hive("b", { hostName: "one", freeBytes: [80 * GIB] })];
    expect(placeWorker(ANYWHERE, [...pair, hive("c", { hostName: "two", workers: 3 })], ONE)).toBe("c");
    expect(placeWorker(ANYWHERE, [...pair, hive("c", { hostName: "two", workersOfModel: 2 })], ONE)).toBe("b");
    expect(placeWorker(ANYWHERE, pair, ONE)).toBe("b");
    expect(placeWorker(ANYWHERE, [...pair, hive("c", { hostName: "two", usable: false, arriving: true })], ONE)).toBeNull();
  });

  it("then goes where it fits, then where clearly more memory is free, then where fewer workers are", () => {
    const hives = [hive("a", { freeBytes: [10 * GIB, 9 * GIB] }), hive("b", { freeBytes: [16 * GIB] })];
    expect(placeWorker(ANYWHERE, hives, ONE)).toBe("b");
    expect(placeWorker(ANYWHERE, hives, { devices: 2, memoryBytes: 18 * GIB })).toBe("a");
    const alike = [hive("a", { freeBytes: [10 * GIB], workers: 2 }), hive("b", { freeBytes: [9.9 * GIB], workers: 1 })];
    expect(placeWorker(ANYWHERE, alike, ONE)).toBe("b");
    expect(placeWorker(ANYWHERE, [hive("b"), hive("a")], ONE)).toBe("a");
  });

  it("asks only usable hives that the rule names and whose labels match", () => {
    const hives = [hive("a", { labels: { gpu: "a100" } }), hive("b", { labels: { gpu: "h100" } }), hive("c", { usable: false })];
    expect(placeWorker({ hives: null, labels: { gpu: "h100" } }, hives, ONE)).toBe("b");
    expect(placeWorker({ hives: ["c"], labels: {} }, hives, ONE)).toBeNull();
    expect(placeWorker({ hives: ["a", "b"], labels: { gpu: "t4" } }, hives, ONE)).toBeNull();
  });

  it("waits for a hive that is being started when that would be the better one, but never with the first worker", () => {
    const arriving = hive("b", { usable: false, arriving: true });
    expect(placeWorker(ANYWHERE, [hive("a"), arriving], ONE)).toBe("a");
    expect(placeWorker(ANYWHERE, [hive("a", { workersOfModel: 1 }), arriving], ONE)).toBeNull();
    expect(placeWorker(ANYWHERE, [hive("a", { workersOfModel: 1 }), hive("b", { usable: false })], ONE)).toBe("a");
    expect(placeWorker({ hives: ["a"], labels: {} }, [hive("a", { workersOfModel: 1 }), arriving], ONE)).toBe("a");
  });

  it("always chooses a hive that may run it when there is one, and spreads a model evenly over hives", () => {
    const names = ["a", "b", "c", "d"];
    const free = fc.option(
      fc.array(
        fc.nat(96).map((gib) => gib * GIB),
        { maxLength: 3 },
      ),
    );
    fc.assert(
      fc.property(fc.array(free, { minLength: 4, maxLength: 4 }), fc.nat(9), fc.nat(48), (frees, count, gib) => {
        const placed = new Map(names.map((name) => [name, 0]));
        for (let worker = 0; worker < count; worker += 1) {
          const hives = names.map((name, index) =>
            hive(name, { workersOfModel: placed.get(name) ?? 0, freeBytes: frees[index] ?? null }),
          );
          const chosen = placeWorker(ANYWHERE, hives, { devices: 1, memoryBytes: gib * GIB });
          expect(chosen).not.toBeNull();
          placed.set(chosen ?? "", (placed.get(chosen ?? "") ?? 0) + 1);
          expect(mayRunOn(ANYWHERE, hive(chosen ?? ""))).toBe(true);
        }
        const counts = [...placed.values()];
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
