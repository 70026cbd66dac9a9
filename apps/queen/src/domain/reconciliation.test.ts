import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PresentWorker, planReconciliation, type RegisteredWorker } from "./reconciliation.ts";

function registered(workerId: string, more: Partial<RegisteredWorker> = {}): RegisteredWorker {
  return { workerId, model: "m", wanted: true, spawning: false, ...more };
}

function present(workerId: string, more: Partial<PresentWorker> = {}): PresentWorker {
  return { workerId, model: "m", ours: true, ending: false, draining: false, ...more };
}

const NOTHING = { keep: [], stop: [], forget: [], adopt: [] };
const noRoom = (): number => 0;

describe("planReconciliation", () => {
  it.each([
    { what: "keeps what is wanted and there", rows: [registered("a")], found: [present("a")], plan: { keep: ["a"] } },
    {
      what: "stops what is there and not wanted",
      rows: [registered("a", { wanted: false })],
      found: [present("a")],
      plan: { stop: ["a"] },
    },
    { what: "forgets what is not there", rows: [registered("a")], found: [], plan: { forget: ["a"] } },
    { what: "says nothing of what is being spawned", rows: [registered("a", { spawning: true })], found: [], plan: {} },
    {
      what: "keeps what is being spawned and is there",
      rows: [registered("a", { spawning: true })],
      found: [present("a")],
      plan: { keep: ["a"] },
    },
    { what: "stops an unknown one without room", rows: [], found: [present("a")], plan: { stop: ["a"] } },
    { what: "leaves an unknown one that ends by itself", rows: [], found: [present("a", { ending: true })], plan: {} },
    { what: "leaves what is another queen's", rows: [registered("a")], found: [present("a", { ours: false })], plan: {} },
  ])("$what", ({ rows, found, plan }) => {
    expect(planReconciliation(rows, found, noRoom)).toEqual({ ...NOTHING, ...plan });
  });

  it("adopts unknown ones as far as each model has room, and stops the others", () => {
    const found = [present("a"), present("b"), present("c"), present("d", { model: "n" })];
    const plan = planReconciliation([], found, (model) => (model === "m" ? 2 : 0));
    expect(plan).toEqual({ ...NOTHING, adopt: ["a", "b"], stop: ["c", "d"] });
  });

  it("decides once about every worker, and never touches another queen's", () => {
    const ids = fc.constantFrom("a", "b", "c", "d", "e");
    const models = fc.constantFrom("m", "n");
    const rows = fc.uniqueArray(fc.record({ workerId: ids, model: models, wanted: fc.boolean(), spawning: fc.boolean() }), {
      selector: ({ workerId }) => workerId,
    });
    const found = fc.uniqueArray(
      fc.record({ workerId: ids, model: models, ours: fc.boolean(), ending: fc.boolean(), draining: fc.boolean() }),
      {
        selector: ({ workerId }) => workerId,
      },
    );
    fc.assert(
      fc.property(rows, found, fc.nat(3), (known, there, room) => {
        const plan = planReconciliation(known, there, () => room);
        const all = [...plan.keep, ...plan.stop, ...plan.forget, ...plan.adopt];
        expect(new Set(all).size).toBe(all.length);
        for (const worker of there) {
          if (!worker.ours) expect(all).not.toContain(worker.workerId);
          else if (!worker.ending) expect(all).toContain(worker.workerId);
        }
        for (const workerId of plan.keep) expect(known.find((row) => row.workerId === workerId)?.wanted).toBe(true);
        for (const workerId of plan.adopt) expect(known.some((row) => row.workerId === workerId)).toBe(false);
        for (const model of ["m", "n"]) {
          const adopted = plan.adopt.filter((id) => there.find(({ workerId }) => workerId === id)?.model === model);
          expect(adopted.length).toBeLessThanOrEqual(room);
        }
      }),
    );
  });
});
