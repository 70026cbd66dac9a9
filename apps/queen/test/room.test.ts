import type { QueenConfigInput } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AskedRequest, FleetWorld } from "./fleet-world.ts";

const GIB = 1_073_741_824;
type Model = NonNullable<QueenConfigInput["models"]>[number];

const model = (id: string, more: Partial<Model> = {}): Model => ({
  id,
  runtime: "fake",
  path: "/m",
  place: { memory: "16GiB" },
  ...more,
});
const queue = { max_waiting: 1_000, max_wait: "10m", load_wait: "30m" };

function waitedMs(request: AskedRequest): number {
  if (request.startedAtMs === null) throw new Error(`a request for ${request.model} was not answered: ${String(request.error)}`);
  return request.startedAtMs - request.askedAtMs;
}

describe("two models and one device's worth of memory", () => {
  it("answers 200 mixed requests, with few swaps and nobody starved, whatever the mix", async () => {
    const gaps = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.boolean()), { minLength: 200, maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(gaps, async (mix) => {
        await using world = await FleetWorld.start({ models: [model("one"), model("other")], queue }, { bytes: 24 * GIB });
        for (const [gapMs, isOne] of mix) {
          world.ask(isOne ? "one" : "other", 200);
          await world.clock.advance(gapMs);
          expect(world.hive.models.length).toBeLessThanOrEqual(1);
        }
        await world.run(600_000);
        const waits = world.asked.map(waitedMs);
        // A turn of the other, its last requests, and two loads with what lies between.
        expect(Math.max(...waits)).toBeLessThan(30_000 + 30_000 + 2 * 4_000);
        // Nothing is evicted before it has stayed for min_resident (10 s).
        const seconds = world.clock.monotonicMs() / 1_000;
        expect(world.hive.loads.length).toBeLessThanOrEqual(2 + seconds / 10);
        for (const [index, loaded] of world.hive.loads.entries()) expect(loaded).not.toBe(world.hive.loads[index + 1]);
      }),
      { numRuns: 4 },
    );
  });

  it("gives a model its turn although the other is never idle, and ends none of its requests", async () => {
    await using world = await FleetWorld.start({ models: [model("busy"), model("rare")], queue }, { bytes: 24 * GIB });
    const keepBusy = async (seconds: number): Promise<void> => {
      for (let tick = 0; tick < seconds * 10; tick += 1) {
        world.ask("busy", 400);
        await world.clock.advance(100);
      }
    };
    await keepBusy(20);
    const rare = world.ask("rare", 100);
    await keepBusy(40);
    // The turn of the busy one ends 30 s after the rare one has come; then its last requests, its end, and a load.
    expect(waitedMs(rare)).toBeGreaterThanOrEqual(30_000);
    expect(waitedMs(rare)).toBeLessThan(36_000);
    await world.run(600_000);
    expect(world.asked.filter((request) => request.error !== null)).toEqual([]);
    expect(world.hive.loads).toEqual(["busy", "rare", "busy"]);
  });

  it("does not count on a worker that has failed for good: what cannot be had is said at once", async () => {
    const models = [model("broken"), model("pinned", { pin: true }), model("other")];
    await using world = await FleetWorld.start({ models, queue }, { bytes: 40 * GIB });
    world.ask("broken", 100);
    world.ask("pinned", 100);
    await world.run(10_000);
    const broken = world.fleet.list().find((worker) => worker.model === "broken");
    if (broken === undefined) throw new Error("there is no worker");
    world.fleet.onHiveEvent("local", world.hive.fail(broken));
    const other = world.ask("other", 100);
    await world.run(60_000);
    expect(other.error).toMatchObject({ kind: "model_unavailable" });
  });

  it("makes room for nobody who has left", async () => {
    await using world = await FleetWorld.start(
      { models: [model("busy"), model("rare")], queue: { ...queue, load_wait: "20s" } },
      { bytes: 24 * GIB },
    );
    const rareAt = 50;
    for (let tick = 0; tick < 600; tick += 1) {
      world.ask("busy", 150);
      if (tick === rareAt) world.ask("rare", 100);
      await world.clock.advance(100);
    }
    expect(world.hive.loads).toEqual(["busy"]);
    expect(world.asked[rareAt + 1]?.error).toMatchObject({ kind: "load_timeout" });
  });
});

describe("who has to go", () => {
  it("is the least recently used idle model, and only when memory is short", async () => {
    const models = ["a", "b", "c"].map((id) => model(id, { place: { memory: "10GiB" } }));
    await using world = await FleetWorld.start({ models, queue }, { bytes: 24 * GIB });
    for (const id of ["a", "b", "a", "c"]) {
      world.ask(id, 100);
      await world.run(60_000);
      await world.clock.advance(20_000);
    }
    expect(world.hive.loads).toEqual(["a", "b", "c"]);
    expect(world.hive.models).toEqual(["a", "c"]);
  });

  it("is nobody whose device would not have the room all the same", async () => {
    const places = { pinned: "8GiB", old: "14GiB", young: "16GiB", big: "20GiB" };
    const models = Object.entries(places).map(([id, memory]) => model(id, { place: { memory }, pin: id === "pinned" }));
    await using world = await FleetWorld.start({ models, queue }, { bytes: [24 * GIB, 24 * GIB] });
    // The pinned one and the young one get a device each, the old one what is left of the first.
    for (const id of ["pinned", "young", "old", "young", "big"]) {
      world.ask(id, 100);
      await world.run(60_000);
      await world.clock.advance(20_000);
    }
    expect(world.asked.filter((request) => request.error !== null)).toEqual([]);
    expect(world.hive.loads).toEqual(["pinned", "young", "old", "big"]);
    expect(world.hive.models).toEqual(["big", "old", "pinned"]);
  });

  it("is never a pinned model or one of a minimum: then the request is told why there is no room", async () => {
    const models = [
      model("pinned", { pin: true, place: { memory: "10GiB" } }),
      model("kept", { workers: { min: 1 }, place: { memory: "10GiB" } }),
      model("big"),
    ];
    await using world = await FleetWorld.start({ models, queue }, { bytes: 24 * GIB });
    world.fleet.onHiveState("local");
    world.ask("pinned", 100);
    await world.run(60_000);
    await world.clock.advance(60_000);
    expect(world.hive.models).toEqual(["kept", "pinned"]);
    const refused = world.ask("big", 100);
    await world.run(10_000);
    expect(refused.error).toMatchObject({ kind: "model_unavailable", details: { cause: "insufficient_memory" } });
    expect(world.hive.models).toEqual(["kept", "pinned"]);
  });

  it("is nobody for a second worker of a model: it takes free memory only, and asks for it now and then", async () => {
    const models = [
      model("wide", { workers: { max: 2 }, place: { memory: "10GiB" } }),
      model("other", { place: { memory: "10GiB" } }),
    ];
    await using world = await FleetWorld.start({ models, queue }, { bytes: 24 * GIB });
    world.ask("other", 100);
    world.ask("wide", 100);
    await world.run(60_000);
    await world.clock.advance(30_000);
    for (let count = 0; count < 200; count += 1) world.ask("wide", 200);
    await world.run(60_000);
    expect(world.hive.models).toEqual(["other", "wide"]);
    expect(world.hive.refusals).toBeLessThanOrEqual(3);
  });
});

describe("a model that nobody uses", () => {
  it("is stopped after idle_stop, except for its minimum, and started again when somebody asks", async () => {
    const models = [
      model("on_call", { idle_stop: "5m" }),
      model("kept", { idle_stop: "5m", workers: { min: 1 }, place: { memory: "1GiB" } }),
    ];
    await using world = await FleetWorld.start({ models, queue }, { bytes: 24 * GIB });
    world.fleet.onHiveState("local");
    world.ask("on_call", 100);
    await world.run(60_000);
    await world.clock.advance(200_000);
    world.ask("on_call", 100);
    await world.run(60_000);
    await world.clock.advance(299_000);
    expect(world.hive.models).toEqual(["kept", "on_call"]);
    await world.clock.advance(2_000);
    expect(world.hive.models).toEqual(["kept"]);
    await world.clock.advance(3_600_000);
    expect(world.hive.models).toEqual(["kept"]);
    const again = world.ask("on_call", 100);
    await world.run(60_000);
    expect(waitedMs(again)).toBe(2_000);
  });
});
