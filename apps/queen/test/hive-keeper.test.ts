import { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { KeeperWorld } from "./keeper-world.ts";

const GRACE_MS = 10_000;
const RETRY_MS = 3_000;

function refusing(kind: QhError["kind"]): () => Promise<never> {
  return () => Promise.reject(new QhError(kind, `cannot start it: ${kind}`));
}

describe("a keeper whose disk is full", () => {
  it("makes a start that is asked for, and a restart that is due, as soon as they can be recorded", async () => {
    await using world = await KeeperWorld.open();
    world.startAnswer = refusing("start_timeout");
    const keeper = world.keeper();
    world.isDiskFull = true;
    keeper.post({ type: "start_requested" });
    await world.clock.advance(60_000);
    expect([world.starts, keeper.record().state]).toEqual([0, "stopped"]);
    world.isDiskFull = false;
    await world.clock.advance(RETRY_MS);
    expect([world.starts, keeper.record().state]).toEqual([1, "crashed"]);
    world.isDiskFull = true;
    await world.clock.advance(600_000);
    expect([world.starts, keeper.record().state]).toEqual([1, "crashed"]);
    world.isDiskFull = false;
    await world.clock.advance(RETRY_MS);
    expect(world.starts).toBeGreaterThan(1);
  });

  it("does not make a start that an operator has taken back meanwhile", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    world.isDiskFull = true;
    keeper.post({ type: "start_requested" });
    await world.clock.advance(1_000);
    keeper.post({ type: "stop_requested", workers: "stop" });
    await world.clock.advance(1_000);
    world.isDiskFull = false;
    await world.clock.advance(600_000);
    expect([world.starts, world.stops.length]).toEqual([0, 1]);
  });
});

describe("a keeper that was stalled", () => {
  it("gives an unreachable hive the rest of its grace in time that we were awake, with a try before", async () => {
    await using world = await KeeperWorld.open();
    world.startAnswer = refusing("host_unreachable");
    const keeper = world.keeper();
    keeper.post({ type: "start_requested" });
    await world.clock.advance(100);
    expect([world.starts, keeper.record().state]).toEqual([1, "unreachable"]);
    world.clock.stall(GRACE_MS * 6);
    await world.clock.advance(GRACE_MS - 1_000);
    expect([world.abandoned, world.starts > 1]).toEqual([0, true]);
    await world.clock.advance(1_000);
    expect(world.abandoned).toBe(1);
  });
});

describe("since when others stand in for a hive's workers", () => {
  const REPLACE_AFTER_MS = 300_000;

  it("is known after its time of absence, whether it is out of reach or refuses us, to the next queen too", async () => {
    for (const kind of ["host_unreachable", "unauthenticated"] as const) {
      await using world = await KeeperWorld.open();
      world.startAnswer = refusing(kind);
      const keeper = world.keeper();
      keeper.post({ type: "start_requested" });
      await world.clock.advance(REPLACE_AFTER_MS - 1_000);
      expect([keeper.isReplaced, world.row.replacedSince]).toEqual([false, null]);
      await world.clock.advance(2_000);
      const since = new Date(world.clock.nowMs() - 1_000).toISOString();
      expect([keeper.isReplaced, world.row.replacedSince]).toEqual([true, since]);
      expect(world.store.journalNewest(10).filter((event) => event.kind === "hive.replaced")).toMatchObject([
        { hive_id: "gpu1", actor: "queen" },
      ]);
      await world.clock.advance(REPLACE_AFTER_MS * 2);
      const next = world.keeper();
      expect([next.isReplaced, next.replacedSince]).toEqual([true, since]);
      next.standInsEnded();
      expect(world.keeper().replacedSince).toBeNull();
    }
  });

  it("is the moment at which an operator stops or drains it; once it is taken back they still have to end", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    const since = new Date(world.clock.nowMs()).toISOString();
    const stop = keeper.stopFor("key:me", "keep", Deadline.never());
    expect([keeper.isReplaced, world.row.replacedSince]).toEqual([true, since]);
    await world.settle();
    world.stops[0]?.prove();
    await stop;
    expect(world.keeper().isReplaced).toBe(true);
    await keeper.startFor("key:me");
    expect(world.row).toMatchObject({ state: "starting", replacedSince: since });
    await keeper.orderFor("key:me", "drain_requested");
    expect([keeper.isReplaced, keeper.replacedSince]).toEqual([true, since]);
    await keeper.orderFor("key:me", "resume_requested");
    expect([keeper.isReplaced, keeper.replacedSince]).toEqual([false, since]);
  });
});
