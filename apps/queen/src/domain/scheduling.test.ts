import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { freeSlots, pickWorker, type WorkerLoad } from "./scheduling.ts";

const load = (key: string, slots: number, inFlight: number): WorkerLoad => ({ key, slots, inFlight });
const NOBODY: ReadonlySet<string> = new Set();

const workers = fc
  .array(fc.record({ slots: fc.integer({ min: 1, max: 8 }), inFlight: fc.integer({ min: 0, max: 9 }) }), { maxLength: 12 })
  .map((list) => list.map((entry, index) => load(`w${index}`, entry.slots, entry.inFlight)));

describe("pickWorker", () => {
  it("prefers the most free slots, then the fewest requests in flight, then the order given", () => {
    expect(pickWorker([load("a", 4, 2), load("b", 4, 1)], NOBODY)?.key).toBe("b");
    expect(pickWorker([load("a", 8, 4), load("b", 4, 0)], NOBODY)?.key).toBe("b");
    expect(pickWorker([load("a", 2, 0), load("b", 2, 0)], NOBODY)?.key).toBe("a");
  });

  it("finds nobody when all are busy or excluded", () => {
    expect(pickWorker([], NOBODY)).toBeNull();
    expect(pickWorker([load("a", 2, 2)], NOBODY)).toBeNull();
    expect(pickWorker([load("a", 2, 0)], new Set(["a"]))).toBeNull();
  });

  it("never gives a request to a full or excluded worker, and never skips a freer one", () => {
    fc.assert(
      fc.property(workers, fc.array(fc.integer({ min: 0, max: 11 })), (list, indices) => {
        const excluded = new Set(indices.map((index) => `w${index}`));
        const eligible = list.filter((worker) => freeSlots(worker) > 0 && !excluded.has(worker.key));
        const picked = pickWorker(list, excluded);
        expect(picked === null).toBe(eligible.length === 0);
        if (picked === null) return;
        expect(eligible).toContain(picked);
        expect(freeSlots(picked)).toBe(Math.max(...eligible.map(freeSlots)));
      }),
    );
  });

  it("spreads requests that stay so that no worker waits with two more free slots than a busier equal", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 40 }),
        (count, slots, requests) => {
          const inFlight = new Map(Array.from({ length: count }, (_, index) => [`w${index}`, 0]));
          for (let request = 0; request < requests; request += 1) {
            const picked = pickWorker(
              [...inFlight].map(([key, busy]) => load(key, slots, busy)),
              NOBODY,
            );
            if (picked === null) break;
            inFlight.set(picked.key, picked.inFlight + 1);
          }
          const busy = [...inFlight.values()];
          expect(Math.max(...busy) - Math.min(...busy)).toBeLessThanOrEqual(1);
          expect(busy.reduce((sum, value) => sum + value, 0)).toBe(Math.min(requests, count * slots));
        },
      ),
    );
  });
});
