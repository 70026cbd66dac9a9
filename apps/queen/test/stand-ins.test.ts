import type { HiveEvent, WorkerReady, WorkerRecord } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { FleetWorld } from "./fleet-world.ts";
import { runOfEpoch } from "./keeper-world.ts";
import type { SimulatedHive } from "./simulated-hive.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" } } as const;

const statesOf = (world: FleetWorld): readonly string[] => world.fleet.list().map(({ hive_id, state }) => `${hive_id} ${state}`);

/** A world whose model has a ready worker on a hive that was lost, and one on another that stands in for it. */
async function worldWithStandIn(max: number): Promise<{ world: FleetWorld; other: SimulatedHive; original: WorkerRecord }> {
  const world = await FleetWorld.start({ models: [{ ...MODEL, workers: { min: 1, max } }] }, { bytes: 64 * GIB });
  world.fleet.onHiveState("local");
  await world.clock.advance(5_000);
  const [original] = world.fleet.list();
  if (original === undefined) return expect.unreachable("one is ready");
  const other = world.addHive("other", 64 * GIB);
  Object.assign(world.hive, { usable: false, isReplaced: true });
  world.fleet.onHiveState("local");
  await world.clock.advance(5_000);
  expect(statesOf(world)).toEqual(["local ready", "other ready"]);
  return { world, other, original };
}

/** A hive is connected: its snapshot first, as it is. */
function connect(world: FleetWorld, hive: SimulatedHive, workers: readonly WorkerRecord[]): void {
  const snapshot: HiveEvent = { type: "snapshot", sequence: 0, hive: runOfEpoch(1), workers: [...workers] };
  world.fleet.onHiveEvent(hive.hiveId, snapshot);
  Object.assign(hive, { usable: true, isReplaced: false });
  world.fleet.onHiveState(hive.hiveId);
}

describe("a worker that stands in for one of a lost hive", () => {
  it("serves until the one that is back is ready, and ends then", async () => {
    const { world, original } = await worldWithStandIn(1);
    await using _world = world;
    // Its host was rebooted: the hive starts its worker again, which takes its time.
    const loading: WorkerRecord = { ...original, incarnation: 2, state: "loading", pid: 2, start_time: 2, ready_at: null };
    connect(world, world.hive, [loading]);
    await world.clock.advance(60_000);
    expect(statesOf(world)).toEqual(["local loading", "other ready"]);
    const meanwhile = world.ask("m", 10);
    await world.clock.advance(1_000);
    expect([meanwhile.startedAtMs, meanwhile.error]).toEqual([expect.any(Number), null]);
    world.deliver(readyAgain(loading));
    await world.clock.advance(1_000);
    expect(statesOf(world)).toEqual(["local ready"]);
    expect(world.hive.replacedSince).toBeNull();
  });

  it("stays when the one that is back fails for good", async () => {
    const { world, original } = await worldWithStandIn(1);
    await using _world = world;
    const loading: WorkerRecord = { ...original, incarnation: 2, state: "loading", pid: 2, start_time: 2, ready_at: null };
    connect(world, world.hive, [loading]);
    world.fleet.onHiveEvent("local", world.hive.fail(loading));
    await world.clock.advance(1_000);
    expect(statesOf(world)).toEqual(["local failed", "other ready"]);
    expect(world.hive.replacedSince).toBeNull();
  });

  it.each([1, 3])("ends also under another queen than the one who started it, with at most %i", async (max) => {
    const { world, other, original } = await worldWithStandIn(max);
    await using _world = world;
    const standIn = world.fleet.list().find(({ hive_id }) => hive_id === "other");
    if (standIn === undefined) return expect.unreachable("there is one");
    world.restartQueen();
    connect(world, other, [standIn]);
    await world.clock.advance(5_000);
    expect(world.hive.loads.length + other.loads.length).toBe(2);
    connect(world, world.hive, [original]);
    await world.clock.advance(1_000);
    expect(statesOf(world)).toEqual(["local ready"]);
    expect(world.fleet.list()).toMatchObject([{ worker_id: original.worker_id }]);
  });
});

describe("a hive that is neither usable nor expected back", () => {
  it("keeps no request waiting for its workers once others may stand in for them", async () => {
    await using world = await FleetWorld.start({ models: [{ ...MODEL, workers: { min: 0, max: 1 } }] }, { bytes: 64 * GIB });
    world.ask("m", 10);
    await world.run(10_000);
    world.addHive("other", 64 * GIB);
    Object.assign(world.hive, { usable: false, hopeful: false });
    world.fleet.onHiveState("local");
    const asked = world.ask("m", 10);
    await world.clock.advance(10_000);
    expect([asked.startedAtMs, asked.error]).toEqual([null, null]);
    world.hive.isReplaced = true;
    world.fleet.onHiveState("local");
    await world.run(10_000);
    expect([asked.startedAtMs, asked.error]).toEqual([expect.any(Number), null]);
  });
});

function readyAgain(worker: WorkerRecord): WorkerReady {
  const { worker_id, hive_id, incarnation, url, pid, start_time, since } = worker;
  return {
    worker_id,
    hive_id,
    incarnation,
    url: url ?? "",
    model_ref: "m",
    backend: "fake",
    device: "gpu",
    slots: 2,
    hive_epoch: 2,
    sequence: 1,
    pid: pid ?? 0,
    start_time: start_time ?? 0,
    spawned_at: since,
    ready_at: since,
    delivery_attempt: 1,
  };
}
