import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EvictionRules, planEviction, planIdleStop, type Resident } from "./eviction.ts";

const RULES: EvictionRules = { minResidentMs: 10_000, turnMs: 30_000 };

const resident = (workerId: string, more: Partial<Resident> = {}): Resident => ({
  workerId,
  coming: false,
  inFlight: 0,
  waiting: 0,
  kept: false,
  yieldingForMs: null,
  readyForMs: 60_000,
  idleForMs: 1_000,
  memoryBytes: 10,
  ...more,
});

const residents = fc
  .array(
    fc.record({
      coming: fc.boolean(),
      inFlight: fc.nat(2),
      waiting: fc.nat(2),
      kept: fc.boolean(),
      yieldingForMs: fc.option(fc.nat(60_000)),
      readyForMs: fc.nat(60_000),
      idleForMs: fc.nat(60_000),
      memoryBytes: fc.option(fc.nat(20)),
    }),
    { maxLength: 6 },
  )
  .map((list) => list.map((entry, index) => ({ ...entry, workerId: `w${index}` })));
const contenders = fc.record({ waitedMs: fc.nat(60_000), missingBytes: fc.option(fc.nat(60)) });

describe("planEviction", () => {
  it("evicts the least recently used idle worker, and no more than are needed", () => {
    const list = [resident("new", { idleForMs: 5 }), resident("old", { idleForMs: 900 }), resident("older", { idleForMs: 901 })];
    expect(planEviction(list, { waitedMs: 0, missingBytes: 5 }, RULES)).toEqual({ kind: "evict", workerIds: ["older"] });
    expect(planEviction(list, { waitedMs: 0, missingBytes: 15 }, RULES)).toEqual({ kind: "evict", workerIds: ["older", "old"] });
    const big = [resident("small", { idleForMs: 900, memoryBytes: 1 }), resident("big", { memoryBytes: 20 })];
    expect(planEviction(big, { waitedMs: 0, missingBytes: 20 }, RULES)).toEqual({ kind: "evict", workerIds: ["big"] });
  });

  it("lets what was just loaded stay for a while", () => {
    const list = [resident("a", { readyForMs: 4_000 })];
    expect(planEviction(list, { waitedMs: 99_000, missingBytes: 1 }, RULES)).toEqual({ kind: "wait", forMs: 6_000 });
  });

  it("takes a busy worker out of rotation once it had its turn and the other has waited one, and stops it when it is idle", () => {
    const busy = resident("a", { inFlight: 2, waiting: 7 });
    expect(planEviction([busy], { waitedMs: 12_000, missingBytes: 1 }, RULES)).toEqual({ kind: "wait", forMs: 18_000 });
    expect(planEviction([busy], { waitedMs: 30_000, missingBytes: 1 }, RULES)).toEqual({ kind: "yield", workerIds: ["a"] });
    const yielding = { ...busy, yieldingForMs: 1_000 };
    expect(planEviction([yielding], { waitedMs: 31_000, missingBytes: 1 }, RULES)).toEqual({ kind: "wait", forMs: 29_000 });
    expect(planEviction([{ ...yielding, inFlight: 0 }], { waitedMs: 32_000, missingBytes: 1 }, RULES)).toEqual({
      kind: "evict",
      workerIds: ["a"],
    });
  });

  it("lets a worker serve again when its last requests take longer than a turn", () => {
    const stuck = resident("a", { inFlight: 1, waiting: 3, yieldingForMs: 30_000 });
    expect(planEviction([stuck], { waitedMs: 60_000, missingBytes: 1 }, RULES)).toEqual({ kind: "relent", workerIds: ["a"] });
    const serving = { ...stuck, yieldingForMs: null };
    expect(planEviction([serving], { waitedMs: 0, missingBytes: 1 }, RULES)).toEqual({ kind: "wait", forMs: 30_000 });
  });

  it("waits for a worker that is not ready yet, and gives it its time", () => {
    const list = [resident("a", { coming: true, readyForMs: 0 })];
    expect(planEviction(list, { waitedMs: 99_000, missingBytes: 5 }, RULES)).toEqual({
      kind: "wait",
      forMs: Number.POSITIVE_INFINITY,
    });
  });

  it("gives up when what may go is not enough, and stops nothing for it", () => {
    const list = [resident("a"), resident("pinned", { kept: true })];
    expect(planEviction(list, { waitedMs: 0, missingBytes: 11 }, RULES)).toEqual({ kind: "hopeless" });
    expect(planEviction([], { waitedMs: 0, missingBytes: null }, RULES)).toEqual({ kind: "hopeless" });
  });

  it("never stops what is kept, busy, waited for or just loaded, and never stops too little", () => {
    fc.assert(
      fc.property(residents, contenders, (list, contender) => {
        const plan = planEviction(list, contender, RULES);
        const byId = new Map(list.map((entry) => [entry.workerId, entry]));
        if (plan.kind === "evict" || plan.kind === "yield") expect(plan.workerIds.length).toBeGreaterThan(0);
        if (plan.kind === "wait") expect(plan.forMs).toBeGreaterThan(0);
        const named = "workerIds" in plan ? plan.workerIds.flatMap((id) => byId.get(id) ?? []) : [];
        for (const entry of named) {
          expect(entry.kept || entry.coming).toBe(false);
          if (plan.kind === "yield") {
            expect(entry.yieldingForMs).toBeNull();
            expect(entry.readyForMs).toBeGreaterThanOrEqual(RULES.minResidentMs);
            continue;
          }
          if (plan.kind === "relent") continue;
          expect(entry.inFlight).toBe(0);
          if (entry.yieldingForMs === null) expect(entry.waiting).toBe(0);
          if (entry.yieldingForMs === null) expect(entry.readyForMs).toBeGreaterThanOrEqual(RULES.minResidentMs);
        }
        if (plan.kind === "relent") {
          expect(Math.max(...named.map(({ yieldingForMs }) => yieldingForMs ?? 0))).toBeGreaterThanOrEqual(RULES.turnMs);
          expect(named.some(({ inFlight }) => inFlight > 0)).toBe(true);
        }
        if (plan.kind === "evict" && contender.missingBytes !== null) {
          const freed = named.reduce((sum, entry) => sum + (entry.memoryBytes ?? Number.POSITIVE_INFINITY), 0);
          expect(freed).toBeGreaterThanOrEqual(contender.missingBytes);
        }
        const all = list.filter((entry) => !entry.kept);
        const most = all.reduce((sum, entry) => sum + (entry.memoryBytes ?? Number.POSITIVE_INFINITY), 0);
        expect(plan.kind === "hopeless").toBe(all.length === 0 || most < (contender.missingBytes ?? 0));
      }),
    );
  });
});

describe("planIdleStop", () => {
  const idle = (workerId: string, idleForMs: number, inFlight = 0) => ({ workerId, idleForMs, inFlight, waiting: 0 });

  it("stops who has been idle for too long, keeps so many, and says when to look again", () => {
    const workers = [idle("a", 50), idle("b", 200), idle("c", 150), idle("d", 500, 1)];
    expect(planIdleStop(workers, 100, 0)).toEqual({ stop: ["b", "c"], nextInMs: 50 });
    expect(planIdleStop(workers, 100, 3)).toEqual({ stop: ["b"], nextInMs: Number.POSITIVE_INFINITY });
    expect(planIdleStop(workers, Number.POSITIVE_INFINITY, 0)).toEqual({ stop: [], nextInMs: Number.POSITIVE_INFINITY });
  });
});
