import { Deadline } from "@queen-and-hive/daemon";
import { describe, expect, it } from "vitest";
import { KeeperWorld } from "./keeper-world.ts";

const OPERATOR = "key:me";
const soon = Deadline.never();

describe("a restart of a hive", () => {
  it("keeps its workers and starts it again; that an operator stopped it is never recorded", async () => {
    await using world = await KeeperWorld.open();
    const restart = world.keeper().restartFor(OPERATOR, soon);
    await world.settle();
    expect(world.row).toMatchObject({ order: "restart", stoppedByOperator: false, state: "stopping" });
    world.stops[0]?.prove();
    expect(await restart).toMatchObject({ isOvertaken: false, outcome: { kind: "answered" } });
    await world.settle();
    expect(world).toMatchObject({ starts: 1, stops: [{ keepWorkers: true }] });
    expect(world.row).toMatchObject({ order: null, stoppedByOperator: false, state: "starting" });
  });

  it("takes what runs as it is when its end cannot be proven", async () => {
    await using world = await KeeperWorld.open();
    const restart = world.keeper().restartFor(OPERATOR, soon);
    await world.settle();
    world.stops[0]?.fail();
    expect(await restart).toMatchObject({ isOvertaken: false, outcome: { kind: "unreachable" } });
    await world.settle();
    expect(world.starts).toBe(1);
    expect(world.row).toMatchObject({ order: null, stoppedByOperator: false, state: "starting" });
  });

  it.each([
    ["the queen, who stops", "queen"],
    ["an operator", "operator"],
  ])("is overtaken by a stop of %s: the workers are stopped too, both hear of that, nothing is started", async (_title, who) => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    const restart = keeper.restartFor(OPERATOR, soon);
    await world.settle();
    const stop = who === "queen" ? keeper.stop("stop", soon, "SIGINT") : keeper.stopFor(OPERATOR, "stop", soon);
    await world.settle();
    world.stops[0]?.prove();
    await world.settle();
    expect(world.stops.map(({ keepWorkers }) => keepWorkers)).toEqual([true, false]);
    let isOver = false;
    void stop.then(() => {
      isOver = true;
    });
    await world.settle();
    expect(isOver).toBe(false);
    world.stops[1]?.prove();
    expect(await stop).toMatchObject({ kind: "answered", answer: { workers_kept: 0 } });
    expect(await restart).toMatchObject({ isOvertaken: true, outcome: { answer: { workers_kept: 0 } } });
    await world.settle();
    expect(world.starts).toBe(0);
    expect(world.row).toMatchObject({ state: "stopped", order: null, stoppedByOperator: who === "operator" });
  });
});

describe("an order that its queen has not brought to its end", () => {
  it.each(["restart", "keep", "stop"] as const)("is the next queen's to finish, as what it was: %s", async (order) => {
    await using world = await KeeperWorld.open();
    const first = world.keeper();
    void (order === "restart" ? first.restartFor(OPERATOR, soon) : first.stopFor(OPERATOR, order, soon));
    await world.settle();

    const next = world.keeper();
    next.start();
    await world.settle();
    expect(next.unfinishedOrder).toBe(order);
    expect(world.starts).toBe(0);
  });

  it("is over once it is proven, and not before", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    const failing = keeper.stopFor(OPERATOR, "keep", soon);
    await world.settle();
    world.stops[0]?.fail();
    await failing;
    expect([world.keeper().unfinishedOrder, world.row.state]).toEqual(["keep", "failed"]);
    const again = keeper.stopFor(OPERATOR, "stop", soon);
    await world.settle();
    world.stops[1]?.prove();
    await again;
    expect([world.keeper().unfinishedOrder, world.row.state]).toEqual([null, "stopped"]);
  });
});

describe("a stop of a hive with its workers", () => {
  it.each([
    ["its host has proven it", true],
    ["another queen owns it", false],
  ])("records that nothing is left there where %s: %s", async (_title, isProven) => {
    await using world = await KeeperWorld.open();
    const stop = world.keeper().stopFor(OPERATOR, "stop", soon);
    await world.settle();
    if (isProven) world.stops[0]?.prove();
    else world.stops[0]?.disown();
    await stop;
    await world.settle();
    expect(world.row).toMatchObject({ state: "stopped", isEmpty: isProven, order: null });
  });
});

describe("an order while the queen lets go of a hive", () => {
  it("does not start what she stops", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    const stop = keeper.stop("stop", soon, "SIGINT");
    const start = keeper.startFor(OPERATOR);
    const restart = keeper.restartFor(OPERATOR, soon);
    await world.settle();
    world.stops[0]?.prove();
    await expect(start).rejects.toMatchObject({ kind: "shutting_down" });
    await expect(restart).rejects.toMatchObject({ kind: "shutting_down" });
    await stop;
    await world.settle();
    expect(world).toMatchObject({ starts: 0, row: { state: "stopped" } });
  });

  it("is answered, not left waiting", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    const before = keeper.stopFor(OPERATOR, "keep", soon);
    await world.settle();
    await keeper[Symbol.asyncDispose]();
    const meanwhile = keeper.stopFor(OPERATOR, "stop", soon);
    world.stops[0]?.prove();
    // What is under way is told as it was: its workers were kept.
    for (const stop of [before, meanwhile]) expect(await stop).toMatchObject({ kind: "answered", answer: { workers_kept: 1 } });
    expect(await keeper.stopFor(OPERATOR, "stop", soon)).toMatchObject({ kind: "unreachable" });
  });
});
