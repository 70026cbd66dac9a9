import { QhError, type QueenConfigInput } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import type { Lease } from "../src/dispatch/ticket.ts";
import { FleetWorld } from "./fleet-world.ts";

const GIB = 1_073_741_824;
const model = (id: string, more: object = {}) => ({ id, runtime: "fake", path: "/m", place: { memory: "16GiB" }, ...more });
const QUEUE = { max_waiting: 1_000, max_wait: "10m", load_wait: "30m" } satisfies QueenConfigInput["queue"];

/** A request that goes on until the test ends it. */
async function hold(world: FleetWorld, modelId: string): Promise<Lease> {
  const signal = new AbortController().signal;
  const wish = { client: "one", session: () => null, excluded: new Set<string>(), place: null, lastError: null, signal };
  const lease = world.dispatcher.lease(modelId, wish);
  for (let tick = 0; tick < 60; tick += 1) await world.clock.advance(50);
  return await lease;
}

const statesOf = (world: FleetWorld): readonly string[] =>
  world.fleet.list().map(({ model: id, hive_id, state }) => `${id} on ${hive_id} ${state}`);
const journalOf = (world: FleetWorld): readonly string[] =>
  world.store
    .journalNewest(1_000)
    .filter(({ kind }) => kind === "worker.state")
    .map(({ from, to, cause }) => `${from ?? "-"} ${to} ${cause ?? "-"}`);

describe("a worker whose turn is over while it serves", () => {
  it("is never cut: it gets nothing new for a turn, serves for another, and goes when its last request has ended", async () => {
    await using world = await FleetWorld.start({ models: [model("busy"), model("rare")], queue: QUEUE }, { bytes: 24 * GIB });
    const stream = await hold(world, "busy");
    const rare = world.ask("rare", 100);
    await world.clock.advance(35_000);
    const late = world.ask("busy", 100);
    await world.clock.advance(20_000);
    expect([stream.worker.lost.aborted, late.startedAtMs, rare.startedAtMs]).toEqual([false, null, null]);
    // A turn after the worker has begun to yield it serves again.
    await world.clock.advance(6_000);
    expect(late.startedAtMs).not.toBeNull();
    const later = world.ask("busy", 100);
    await world.clock.advance(1_000);
    expect(later.startedAtMs).not.toBeNull();
    await world.clock.advance(3_600_000);
    expect([stream.worker.lost.aborted, rare.startedAtMs, rare.error === null]).toEqual([false, null, false]);
    const again = world.ask("rare", 100);
    await world.clock.advance(1_000);
    stream.release(1);
    await world.run(60_000);
    expect(again.startedAtMs).not.toBeNull();
    expect(world.hive.loads).toEqual(["busy", "rare"]);
    expect(journalOf(world)).toEqual(expect.arrayContaining(["ready stopping evicted", "stopping stopped evicted"]));
  });

  it("keeps nobody out who needs less than the model in line and finds room beside it", async () => {
    const models = [model("busy"), model("rare"), model("small", { place: { memory: "4GiB" } })];
    await using world = await FleetWorld.start({ models, queue: QUEUE }, { bytes: 24 * GIB });
    const stream = await hold(world, "busy");
    const rare = world.ask("rare", 100);
    await world.clock.advance(35_000);
    const small = world.ask("small", 100);
    await world.clock.advance(5_000);
    expect([small.startedAtMs !== null, rare.startedAtMs, stream.worker.lost.aborted]).toEqual([true, null, false]);
    stream.release(1);
    await world.run(60_000);
    expect(rare.startedAtMs).not.toBeNull();
  });
});

describe("a worker that stood in for one of a lost hive", () => {
  it("finishes its streams while it drains, for as long as drain says, and is stopped", async () => {
    for (const isInTime of [true, false]) {
      const config = { models: [model("far", { workers: { min: 1, max: 1 } })], queue: QUEUE, drain: "1m" };
      await using world = await FleetWorld.start(config, { bytes: 24 * GIB });
      world.fleet.onHiveState("local");
      await world.clock.advance(5_000);
      expect(statesOf(world)).toEqual(["far on local ready"]);
      world.addHive("other", 24 * GIB);
      Object.assign(world.hive, { usable: false, isReplaced: true });
      world.fleet.onHiveState("local");
      const stream = await hold(world, "far");
      expect(stream.worker.hiveId).toBe("other");
      stream.worker.lost.addEventListener("abort", () => stream.release(1));
      Object.assign(world.hive, { usable: true, isReplaced: false });
      world.fleet.onHiveState("local");
      await world.clock.advance(1_000);
      expect(statesOf(world)).toEqual(["far on local ready", "far on other draining"]);
      const fresh = world.ask("far", 10);
      await world.clock.advance(50_000);
      expect([fresh.startedAtMs !== null, stream.worker.lost.aborted]).toEqual([true, false]);
      if (isInTime) stream.release(1);
      await world.clock.advance(20_000);
      expect(statesOf(world)).toEqual(["far on local ready"]);
      expect(journalOf(world)).toContain("draining stopping stand_in_ended");
      const reason = isInTime ? { kind: "engine_failed", message: expect.stringContaining("has ended") } : expect.anything();
      expect(stream.worker.lost.reason).toMatchObject(reason);
    }
  });
});

describe("a worker that its hive could not end when it was told to", () => {
  it("leaves the list when the hive says that it has ended after all", async () => {
    const models = [model("stuck", { idle_stop: "5s", place: { memory: "8GiB" } })];
    await using world = await FleetWorld.start({ models, queue: QUEUE }, { bytes: 24 * GIB });
    world.ask("stuck", 100);
    await world.run(10_000);
    const [stuck] = world.fleet.list();
    if (stuck === undefined) return expect.unreachable("there is a worker");
    const refusal = new QhError("stop_failed", "cannot stop it: process 1 survived KILL");
    Object.assign(world.hive.calls, { stopWorker: () => Promise.reject(refusal) });
    await world.clock.advance(10_000);
    expect(statesOf(world)).toEqual(["stuck on local stopping"]);
    world.fleet.onHiveEvent("local", { type: "worker", sequence: 1, worker: { ...stuck, state: "stopped", pid: null } });
    expect(statesOf(world)).toEqual([]);
    const again = world.ask("stuck", 100);
    await world.run(10_000);
    expect(again.startedAtMs).not.toBeNull();
  });
});
