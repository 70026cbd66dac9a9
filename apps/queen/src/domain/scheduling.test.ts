import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { freeSlots, pickWorker, type WorkerLoad, type WorkerStanding } from "./scheduling.ts";

const load = (key: string, slots: number, inFlight: number, more: Partial<WorkerLoad> = {}): WorkerLoad => ({
  key,
  slots,
  inFlight,
  sessions: 0,
  standing: "trusted",
  overflow: false,
  ...more,
});
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

  it("gives overflow a request only while no other trusted worker has a free slot, whatever it knows of the conversation", () => {
    const cloud = load("cloud", 100, 0, { overflow: true });
    expect(pickWorker([cloud, load("own", 4, 3)], NOBODY, "cloud")?.key).toBe("own");
    expect(pickWorker([cloud, load("own", 4, 4)], NOBODY)?.key).toBe("cloud");
    expect(pickWorker([cloud, load("own", 4, 0, { standing: "shunned" })], NOBODY)?.key).toBe("cloud");
    expect(pickWorker([cloud, load("own", 4, 0)], new Set(["own"]))?.key).toBe("cloud");
  });

  it("tries a worker on trial before overflow, one request at a time: else it would never be trusted again", () => {
    const cloud = load("cloud", 100, 0, { overflow: true });
    const own = load("own", 4, 0, { standing: "on_trial" });
    expect(pickWorker([cloud, own], NOBODY)?.key).toBe("own");
    expect(pickWorker([own, cloud], NOBODY, "cloud")?.key).toBe("own");
    expect(pickWorker([{ ...own, inFlight: 1 }, cloud], NOBODY)?.key).toBe("cloud");
    expect(pickWorker([own, load("other", 1, 0), cloud], NOBODY)?.key).toBe("other");
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

  it("sends a conversation home while home has a free slot and is not much busier than others, else to the least loaded", () => {
    expect(pickWorker([load("a", 4, 0), load("b", 4, 2)], NOBODY, "b")?.key).toBe("b");
    expect(pickWorker([load("a", 4, 1), load("b", 4, 3)], NOBODY, "b")?.key).toBe("b");
    expect(pickWorker([load("a", 4, 0), load("b", 4, 3)], NOBODY, "b")?.key).toBe("a");
    expect(pickWorker([load("a", 4, 1), load("b", 4, 4), load("c", 4, 0)], NOBODY, "b")?.key).toBe("c");
    expect(pickWorker([load("a", 4, 1)], NOBODY, "gone")?.key).toBe("a");
  });

  it("spreads new conversations over idle workers, fewest first", () => {
    expect(pickWorker([load("a", 4, 0, { sessions: 3 }), load("b", 4, 0, { sessions: 1 })], NOBODY)?.key).toBe("b");
  });

  it("gives a worker that fails nothing while another is trusted, and one request at a time once it is on trial", () => {
    const busy = load("busy", 2, 2);
    expect(pickWorker([load("a", 4, 0, { standing: "shunned" }), busy], NOBODY)).toBeNull();
    expect(pickWorker([load("a", 4, 0, { standing: "on_trial" }), busy], NOBODY)?.key).toBe("a");
    expect(pickWorker([load("a", 4, 1, { standing: "on_trial" }), busy], NOBODY)).toBeNull();
    expect(pickWorker([load("a", 4, 0, { standing: "on_trial" }), load("b", 2, 1)], NOBODY, "a")?.key).toBe("b");
    expect(pickWorker([load("a", 4, 2, { standing: "shunned" })], NOBODY)?.key).toBe("a");
  });

  it("whatever the standings, home is free and trusted or not chosen for being home, and nobody untrusted is preferred", () => {
    const standings = fc.constantFrom<WorkerStanding>("trusted", "on_trial", "shunned");
    const mixed = fc
      .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 5 }), standings), { maxLength: 8 })
      .map((list) => list.map(([slots, inFlight, standing], index) => load(`w${index}`, slots, inFlight, { standing })));
    fc.assert(
      fc.property(mixed, fc.integer({ min: 0, max: 8 }), (list, home) => {
        const picked = pickWorker(list, NOBODY, `w${home}`);
        const trustedFree = list.filter((worker) => worker.standing === "trusted" && freeSlots(worker) > 0);
        if (trustedFree.length > 0) expect(picked?.standing).toBe("trusted");
        const idleHome = trustedFree.some((worker) => worker.key === `w${home}` && worker.inFlight * 2 <= worker.slots);
        if (idleHome) expect(picked?.key).toBe(`w${home}`);
        if (picked?.standing === "shunned") expect(list.every((worker) => worker.standing !== "trusted")).toBe(true);
        if (picked !== null) expect(freeSlots(picked)).toBeGreaterThan(0);
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
