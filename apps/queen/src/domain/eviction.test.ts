import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EvictionRules, type MissingMemory, planEviction, planIdleStop, type Resident } from "./eviction.ts";

const whichever = (bytes: number): MissingMemory => ({ devices: 1, onEach: [{ device: null, bytes }] });
const onEach = (missing: Readonly<Record<string, number>>, devices = 1): MissingMemory => ({
  devices,
  onEach: Object.entries(missing).map(([device, bytes]) => ({ device, bytes })),
});

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
  devices: [],
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
      devices: fc.subarray(["gpu0", "gpu1", "gpu2"]),
    }),
    { maxLength: 6 },
  )
  .map((list) => list.map((entry, index) => ({ ...entry, workerId: `w${index}` })));
const missingMemory = fc.oneof(
  fc.nat(60).map(whichever),
  fc.record({ gpu0: fc.nat(30), gpu1: fc.nat(30), gpu2: fc.nat(30) }).chain((missing) => {
    return fc.integer({ min: 1, max: 3 }).map((devices) => onEach(missing, devices));
  }),
);
const contenders = fc.record({ waitedMs: fc.nat(60_000), missing: fc.option(missingMemory) });

/** On how many devices those give back what is missing there. */
function devicesFreed(gone: readonly Resident[], { onEach }: MissingMemory): number {
  const freed = (device: string | null): number =>
    gone.reduce((sum, { memoryBytes, devices }) => {
      if (memoryBytes === null) return device === null || devices.length === 0 || devices.includes(device) ? Infinity : sum;
      if (device === null || devices.length === 0) return sum + memoryBytes;
      return devices.includes(device) ? sum + memoryBytes / devices.length : sum;
    }, 0);
  return onEach.filter(({ device, bytes }) => freed(device) >= bytes).length;
}

describe("planEviction", () => {
  it("evicts the least recently used idle worker, and no more than are needed", () => {
    const list = [resident("new", { idleForMs: 5 }), resident("old", { idleForMs: 900 }), resident("older", { idleForMs: 901 })];
    expect(planEviction(list, { waitedMs: 0, missing: whichever(5) }, RULES)).toEqual({ kind: "evict", workerIds: ["older"] });
    expect(planEviction(list, { waitedMs: 0, missing: whichever(15) }, RULES)).toEqual({
      kind: "evict",
      workerIds: ["older", "old"],
    });
    const big = [resident("small", { idleForMs: 900, memoryBytes: 1 }), resident("big", { memoryBytes: 20 })];
    expect(planEviction(big, { waitedMs: 0, missing: whichever(20) }, RULES)).toEqual({ kind: "evict", workerIds: ["big"] });
  });

  it("lets what was just loaded stay for a while", () => {
    const list = [resident("a", { readyForMs: 4_000 })];
    expect(planEviction(list, { waitedMs: 99_000, missing: whichever(1) }, RULES)).toEqual({ kind: "wait", forMs: 6_000 });
  });

  it("takes a busy worker out of rotation once it had its turn and the other has waited one, and stops it when it is idle", () => {
    const busy = resident("a", { inFlight: 2, waiting: 7 });
    expect(planEviction([busy], { waitedMs: 12_000, missing: whichever(1) }, RULES)).toEqual({ kind: "wait", forMs: 18_000 });
    expect(planEviction([busy], { waitedMs: 30_000, missing: whichever(1) }, RULES)).toEqual({ kind: "yield", workerIds: ["a"] });
    const yielding = { ...busy, yieldingForMs: 1_000 };
    expect(planEviction([yielding], { waitedMs: 31_000, missing: whichever(1) }, RULES)).toEqual({ kind: "wait", forMs: 29_000 });
    expect(planEviction([{ ...yielding, inFlight: 0 }], { waitedMs: 32_000, missing: whichever(1) }, RULES)).toEqual({
      kind: "evict",
      workerIds: ["a"],
    });
  });

  it("lets a worker serve again when its last requests take longer than a turn", () => {
    const stuck = resident("a", { inFlight: 1, waiting: 3, yieldingForMs: 30_000 });
    expect(planEviction([stuck], { waitedMs: 60_000, missing: whichever(1) }, RULES)).toEqual({
      kind: "relent",
      workerIds: ["a"],
    });
    const serving = { ...stuck, yieldingForMs: null };
    expect(planEviction([serving], { waitedMs: 0, missing: whichever(1) }, RULES)).toEqual({ kind: "wait", forMs: 30_000 });
  });

  it("waits for a worker that is not ready yet, and gives it its time", () => {
    const list = [resident("a", { coming: true, readyForMs: 0 })];
    expect(planEviction(list, { waitedMs: 99_000, missing: whichever(5) }, RULES)).toEqual({
      kind: "wait",
      forMs: Number.POSITIVE_INFINITY,
    });
  });

  it("gives up when what may go is not enough, and stops nothing for it", () => {
    const list = [resident("a"), resident("pinned", { kept: true })];
    expect(planEviction(list, { waitedMs: 0, missing: whichever(11) }, RULES)).toEqual({ kind: "hopeless" });
    expect(planEviction([], { waitedMs: 0, missing: null }, RULES)).toEqual({ kind: "hopeless" });
  });

  it("leaves those in peace whose devices are not the ones that are made free", () => {
    const old = resident("old", { idleForMs: 900, devices: ["gpu0"] });
    const young = resident("young", { idleForMs: 5, devices: ["gpu1"] });
    const evicting = (workerIds: readonly string[]) => ({ kind: "evict", workerIds });
    const plan = (missing: MissingMemory) => planEviction([young, old], { waitedMs: 0, missing }, RULES);
    expect(plan(onEach({ gpu0: 5, gpu1: 5 }))).toEqual(evicting(["old"]));
    expect(plan(onEach({ gpu0: 15, gpu1: 5 }))).toEqual(evicting(["young"]));
    expect(plan(onEach({ gpu0: 5, gpu1: 5 }, 2))).toEqual(evicting(["old", "young"]));
    expect(plan(onEach({ gpu0: 0, gpu1: 5 }, 2))).toEqual(evicting(["young"]));
    expect(plan(onEach({ gpu0: 15, gpu1: 15 }))).toEqual({ kind: "hopeless" });
    const spread = resident("spread", { idleForMs: 999, devices: ["gpu0", "gpu1"] });
    const besideSpread = planEviction([young, old, spread], { waitedMs: 0, missing: onEach({ gpu0: 15, gpu1: 40 }) }, RULES);
    expect(besideSpread).toEqual(evicting(["spread", "old"]));
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
        const { missing } = contender;
        const all = list.filter((entry) => !entry.kept);
        const isHopeless = all.length === 0 || (missing !== null && devicesFreed(all, missing) < missing.devices);
        expect(plan.kind === "hopeless").toBe(isHopeless);
        if (plan.kind !== "evict" || missing === null) return;
        expect(devicesFreed(named, missing)).toBeGreaterThanOrEqual(missing.devices);
        // None of them goes for nothing.
        for (const entry of named.length > 1 ? named : []) {
          const others = named.filter((other) => other !== entry);
          expect(devicesFreed(others, missing)).toBeLessThan(missing.devices);
        }
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
