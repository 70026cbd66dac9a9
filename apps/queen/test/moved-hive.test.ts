import { Deadline } from "@queen-and-hive/daemon";
import { until } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { KeeperWorld, RUN } from "./keeper-world.ts";
import { NOTHING_LEFT } from "./scripted-hive.ts";

async function settled(world: KeeperWorld, isSo: () => boolean, what: string): Promise<void> {
  await until(
    async () => {
      await world.clock.advance(1_000);
      return isSo();
    },
    20_000,
    what,
  );
}

/** Waits without letting time pass. */
async function happened(world: KeeperWorld, isSo: () => boolean, what: string): Promise<void> {
  await until(
    async () => {
      await world.settle();
      return isSo();
    },
    20_000,
    what,
  );
}

test("a hive that has another place is stopped where it was, proven, before it is started where it is now", async () => {
  await using world = await KeeperWorld.open();
  world.moved();
  world.former.answer({ ...NOTHING_LEFT, left: ["process 7"] });
  const keeper = world.keeper();
  keeper.start();
  await settled(world, () => world.former.calls("stop").length >= 2, "it to be stopped again and again where it was");
  expect(world.starts).toBe(0);
  expect(keeper.record().last_error).toContain("process 7");
  // A later queen still knows where it was.
  expect(world.row.stateDir).toContain("old-state");
  // Its daemon there speaks for a place that is no longer meant.
  keeper.announce({ ...RUN, hive_epoch: 10 }, 1);
  await world.settle();
  expect(keeper.record().state).toBe("unreachable");

  world.former.answer(NOTHING_LEFT);
  await settled(world, () => world.gone === 1, "it to be stopped where it was");
  await settled(world, () => world.row.stateDir === world.hive.stateDir, "its new place to be recorded");
  // What was known of the other daemon says nothing of the next: its epochs begin anew.
  expect(world.row).toMatchObject({ identity: null, last: null });
});

test("another name of the same machine is no other place: the daemon that runs there is adopted", async () => {
  await using world = await KeeperWorld.open();
  world.moved();
  world.running = RUN;
  world.keeper().start();
  await settled(world, () => world.starts > 0, "it to be started");
  expect(world.former.calls("stop")).toEqual([]);
  expect(world.row).toMatchObject({ stateDir: world.hive.stateDir, identity: { pid: RUN.pid }, last: { epoch: 9 } });
  expect(world.gone).toBe(0);
});

test.each([
  ["was proven to be empty", { isEmpty: true, state: "stopped" }],
  ["never answered", { identity: null }],
] as const)("a place where it %s is left without a look", async (_title, patch) => {
  await using world = await KeeperWorld.open();
  world.moved(patch);
  world.keeper().start();
  await settled(world, () => world.row.stateDir === world.hive.stateDir, "its new place to be recorded");
  expect(world.former.calls("stop")).toEqual([]);
  expect(world.row).toMatchObject({ identity: null, last: null });
});

test("an operator's stop is carried out at both places", async () => {
  await using world = await KeeperWorld.open();
  world.moved();
  world.former.answer({ ...NOTHING_LEFT, stopped: [{ what: "worker", worker_id: null, pid: 7, how: "terminated" }] });
  const stop = world.keeper().stopFor("key:me", "stop", Deadline.never());
  await settled(world, () => world.stops.length === 1, "it to be stopped where it is");
  world.stops[0]?.prove();
  expect(await stop).toMatchObject({ kind: "answered", answer: { stopped: [{ pid: 7 }], left: [] } });
  await world.settle();
  expect(world.row).toMatchObject({ state: "stopped", isEmpty: true, stateDir: world.hive.stateDir });
});

test("a stop that is ordered while it is being stopped where it was is the last word: nothing is started after it", async () => {
  await using world = await KeeperWorld.open();
  world.moved();
  world.former.answer(NOTHING_LEFT);
  world.former.hold();
  const keeper = world.keeper();
  keeper.start();
  await happened(world, () => world.former.calls("stop").length === 1, "it to be stopped where it was");
  const stop = keeper.stopFor("key:me", "stop", Deadline.never());
  await happened(world, () => world.former.calls("stop").length === 2, "the operator's stop to be carried out there too");
  world.former.letGo();
  await happened(world, () => world.stops.length === 1, "it to be stopped where it is");
  world.stops[0]?.prove();
  expect(await stop).toMatchObject({ kind: "answered", answer: { left: [] } });
  await settled(world, () => world.row.state === "stopped", "its end to be recorded");
  expect([world.starts, world.looks, world.gone]).toEqual([0, 0, 1]);
  expect(world.row).toMatchObject({ isEmpty: true, stateDir: world.hive.stateDir });
});

test("to stop it where it was, it has as long as any stop of a hive with its workers", async () => {
  await using world = await KeeperWorld.open();
  world.moved();
  world.former.answer(NOTHING_LEFT);
  world.former.hold();
  world.keeper().start();
  await happened(world, () => world.former.calls("stop").length === 1, "it to be stopped where it was");
  await world.clock.advance(25_000);
  world.former.letGo();
  await settled(world, () => world.row.stateDir === world.hive.stateDir, "its new place to be recorded");
  expect(world.former.calls("stop")).toHaveLength(1);
});
