import { newWorkerId, type WorkerExited } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { FleetWorld } from "./fleet-world.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" }, workers: { min: 0, max: 2 } } as const;

function world(): Promise<FleetWorld> {
  return FleetWorld.start({ models: [MODEL] }, { bytes: 64 * GIB });
}

describe("what cannot be recorded", () => {
  it("starts no worker and says so, and starts one when the disk takes it again", async () => {
    await using fleet = await world();
    fleet.isDiskFull = true;
    const refused = fleet.ask("m", 10);
    await fleet.clock.advance(500);
    expect(refused.error).toMatchObject({ kind: "model_unavailable" });
    expect(fleet.hive.loads).toEqual([]);
    expect(fleet.fleet.list()).toEqual([]);
    fleet.isDiskFull = false;
    await fleet.clock.advance(60_000);
    const request = fleet.ask("m", 10);
    await fleet.run(120_000);
    expect(fleet.hive.loads).toEqual(["m"]);
    expect(request).toMatchObject({ error: null });
    expect(request.startedAtMs).not.toBeNull();
  });

  it("makes no worker ready until it is on disk; then the same message does, once", async () => {
    await using fleet = await world();
    const request = fleet.ask("m", 10);
    await fleet.clock.advance(1_000);
    expect(fleet.hive.loads).toEqual(["m"]);
    fleet.isDiskFull = true;
    await fleet.clock.advance(3_000);
    expect(new Set(fleet.answers)).toEqual(new Set(["storage_failed"]));
    expect(request.startedAtMs).toBeNull();
    expect(fleet.fleet.list()).toMatchObject([{ state: "starting" }]);
    fleet.isDiskFull = false;
    await fleet.run(10_000);
    expect(request.startedAtMs).not.toBeNull();
    expect(fleet.answers.filter((answer) => answer !== "storage_failed")).toEqual(["applied"]);
    expect(fleet.fleet.list()).toMatchObject([{ state: "ready" }]);
  });

  it("holds up the room that is being made for another model only until it can be recorded", async () => {
    const models = ["a", "b"].map((id) => ({ ...MODEL, id, place: { memory: "1GiB" } }));
    await using fleet = await FleetWorld.start({ models }, { bytes: 1.5 * GIB });
    fleet.ask("a", 10);
    await fleet.run(60_000);
    fleet.ask("b", 10);
    // The worker of `a` is being evicted for it when the disk is full.
    while (fleet.hive.models.length > 0) await fleet.clock.advance(50);
    fleet.isDiskFull = true;
    await fleet.clock.advance(3_000);
    fleet.isDiskFull = false;
    const later = fleet.ask("b", 10);
    await fleet.run(120_000);
    expect(later).toMatchObject({ error: null });
    expect(fleet.hive.models).toEqual(["b"]);
  });

  it("does not keep a worker from being stopped", async () => {
    await using fleet = await FleetWorld.start({ models: [{ ...MODEL, idle_stop: "1m" }] }, { bytes: 64 * GIB });
    fleet.ask("m", 10);
    await fleet.run(10_000);
    expect(fleet.hive.models).toEqual(["m"]);
    fleet.isDiskFull = true;
    await fleet.clock.advance(90_000);
    expect(fleet.hive.models).toEqual([]);
  });
});

describe("a message of an end that is refused", () => {
  it("says nothing about the model: another worker is started at once where one is wanted", async () => {
    await using fleet = await world();
    fleet.ask("m", 10);
    await fleet.run(10_000);
    const [worker] = fleet.fleet.list();
    if (worker === undefined) return expect.unreachable("one is ready");
    const exited: WorkerExited = {
      worker_id: worker.worker_id,
      hive_id: worker.hive_id,
      hive_epoch: 1,
      sequence: 9,
      incarnation: 7,
      exit_code: 1,
      signal: null,
      cause: "bad_flag",
      log_tail: [],
      will_restart: false,
    };
    const refused = (from: string, message: WorkerExited): void =>
      expect(() => fleet.fleet.acceptExited(from, message)).toThrow(/cannot (take|apply)/);
    refused("other", exited);
    refused("local", { ...exited, hive_epoch: 0 });
    refused("local", { ...exited, sequence: 0 });
    refused("local", { ...exited, worker_id: newWorkerId() });
    fleet.isDiskFull = true;
    expect(() => fleet.fleet.acceptExited("local", exited)).toThrow("ENOSPC");
    fleet.isDiskFull = false;
    for (let count = 0; count < 4; count += 1) fleet.ask("m", 60_000);
    await fleet.clock.advance(200);
    expect(fleet.hive.loads).toEqual(["m", "m"]);
    expect(fleet.fleet.statusOf("m")).toBe("loaded");
  });
});
