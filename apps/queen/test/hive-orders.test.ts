import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { firstOf, startSshGround, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import type { QueenConfigInput } from "@queen-and-hive/protocol";
import { describe, expect, it, test } from "vitest";
import { resolveSettings } from "../src/config/resolve.ts";
import type { HiveSettings } from "../src/config/settings.ts";
import { HiveFleet } from "../src/hives/hive-fleet.ts";
import { createHiveOrders, type HiveOrders } from "../src/hives/hive-orders.ts";
import { newHiveRow } from "../src/hives/hive-row.ts";
import type { HiveRow } from "../src/store/store.ts";
import { FleetWorld } from "./fleet-world.ts";
import { KeeperWorld, QUEEN, RUN } from "./keeper-world.ts";
import { NOTHING_LEFT, ScriptedHive } from "./scripted-hive.ts";
import { reachOf } from "./ssh-reach.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" }, workers: { min: 0, max: 1 } } as const;

function configIn(folder: string): QueenConfigInput {
  return { state_dir: folder, hives: [{ id: "local", host: "local", state_dir: `${folder}/hive` }], models: [MODEL] };
}

/** The real orders on the one configured hive of a fleet's world, whose state directory is empty. */
async function ordersOn(
  world: FleetWorld,
  isStopping: () => boolean,
  reload: () => FleetWorld["settings"] = () => world.settings,
): Promise<{ orders: HiveOrders; hives: HiveFleet } & AsyncDisposable> {
  const { settings, store, clock, fleet: workers } = world;
  const callbacks = { localUrl: () => "", directUrl: () => null, serve: () => Promise.reject(new Error("not asked for")) };
  const metrics = createMetrics();
  const hives = await HiveFleet.create({ settings, store, queen: () => QUEEN, callbacks, metrics, clock, log: silentLog });
  const orders = createHiveOrders({ settings, reload, hives, workers, isStopping, clock, log: silentLog });
  return { orders, hives, [Symbol.asyncDispose]: () => hives[Symbol.asyncDispose]() };
}

test.each([
  ["take", (orders) => orders.take("local", "key:me")],
  ["start", (orders) => orders.start("local", "key:me")],
  ["stop", (orders) => orders.stop("local", "stop", "key:me")],
  ["restart", (orders) => orders.restart("local", "key:me")],
  ["drain", (orders) => orders.drain("local", "key:me")],
  ["resume", (orders) => orders.resume("local", "key:me")],
  ["remove", (orders) => orders.remove("local", false, "key:me")],
] as const satisfies readonly [string, (orders: HiveOrders) => Promise<unknown>][])(
  "a queen who stops takes no order to %s a hive, and records nothing of it",
  async (_name, order) => {
    await using folder = await temporaryDirectory("qh-orders");
    await using world = await FleetWorld.start(configIn(folder.path), { bytes: 0 });
    await using given = await ordersOn(world, () => true);
    await expect(order(given.orders)).rejects.toMatchObject({ kind: "shutting_down" });
    expect(world.store.hives()).toEqual([]);
  },
);

test("a stop that is proven is told as that, also when the disk does not take it", async () => {
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start(configIn(folder.path), { bytes: 64 * GIB });
  world.ask("m", 10);
  await world.run(10_000);
  expect(world.fleet.list()).toMatchObject([{ state: "ready" }]);
  await using given = await ordersOn(world, () => false);
  world.isDiskFull = true;
  expect(await given.orders.stop("local", "stop", "key:me")).toMatchObject({ hive_id: "local", fate: "already_stopped" });
});

test("a hive that left the file and cannot be stopped is listed, and forgotten only when an operator insists", async () => {
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
  const program = new ScriptedHive(folder.join("program"));
  const row = { ...goneRow("gpu1", folder.path), installDir: program.installDir };
  world.store.commit({ hives: [row], events: [] });
  await using given = await ordersOn(world, () => false);
  given.hives.start();
  expect(given.hives.records(() => 0)).toMatchObject([{ hive_id: "gpu1", state: "stopping" }]);
  await expect(given.orders.remove("gpu1", false, "key:me")).rejects.toMatchObject({ kind: "stop_failed" });
  expect(world.store.hives()).toHaveLength(1);
  expect(await given.orders.remove("gpu1", true, "key:me")).toMatchObject({ hive_id: "gpu1", fate: "unreachable" });
  expect([given.hives.records(() => 0), world.store.hives()]).toEqual([[], []]);
});

test("a hive that left the file leaves no connection behind once an operator has it removed, stopped or not", async () => {
  await using machines = await startSshGround({ hive: false, hosts: [{}] });
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
  const reach = reachOf(machines, firstOf(machines));
  const hives = ["gpu1", "gpu2"].map((id) => ({ id, program: new ScriptedHive(folder.join(id)) }));
  const rows = hives.map(({ id, program }) => ({ ...goneRow(id, folder.path), reach, installDir: program.installDir }));
  world.store.commit({ hives: rows, events: [] });
  await using given = await ordersOn(world, () => false);
  given.hives.start();
  const states = (): readonly string[] => given.hives.records(() => 0).map(({ state }) => state);
  await until(() => states().every((state) => state === "failed"), 30_000, "both to have been tried in vain");
  expect(firstOf(machines).connections()).toBe(2);
  hives[0]?.program.answer(NOTHING_LEFT);
  expect(await given.orders.remove("gpu1", false, "key:me")).toMatchObject({ fate: "stopped" });
  expect(await given.orders.remove("gpu2", true, "key:me")).toMatchObject({ fate: "unreachable" });
  await until(() => firstOf(machines).connections() === 0, 10_000, "both connections to be closed");
}, 60_000);

test("what was ordered of a hive before it left the file is finished once it is there again", async () => {
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
  const program = new ScriptedHive(folder.join("program"));
  program.answer(NOTHING_LEFT);
  const hive = { ...hiveOf("gpu1", folder.path), installDir: program.installDir };
  world.store.commit({ hives: [{ ...goneRow("gpu1", folder.path), installDir: hive.installDir, order: "restart" }], events: [] });
  await using given = await ordersOn(
    world,
    () => false,
    () => ({ ...world.settings, hives: [hive] }),
  );
  await given.orders.take("gpu1", "key:me");
  await until(() => program.calls("stop").length === 1, 10_000, "its daemon to be ended");
  expect(program.calls("stop")[0]).toContain("--keep-workers");
  await given.orders.take("gpu1", "key:me");
  await until(() => world.store.hives()[0]?.state === "starting", 10_000, "it to be started again");
  expect(program.calls("stop")).toHaveLength(1);
});

test("a queen who begins to stop while she waits for a hive's end does not take it then", async () => {
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
  const program = new ScriptedHive(folder.join("program"));
  program.answer(NOTHING_LEFT);
  program.hold();
  const hive = { ...hiveOf("gpu1", folder.path), installDir: program.installDir };
  world.store.commit({ hives: [{ ...goneRow("gpu1", folder.path), installDir: hive.installDir }], events: [] });
  let isStopping = false;
  await using given = await ordersOn(
    world,
    () => isStopping,
    () => ({ ...world.settings, hives: [hive] }),
  );
  given.hives.start();
  await until(() => program.calls("stop").length === 1, 10_000, "it to be stopped");
  const taken = given.orders.take("gpu1", "key:me");
  taken.catch(() => undefined);
  isStopping = true;
  program.letGo();
  await expect(taken).rejects.toMatchObject({ kind: "shutting_down" });
  expect([...given.hives.members()]).toEqual([]);
});

describe("the removal of a hive that cannot be stopped", () => {
  it.each([
    ["one that an operator drained", true],
    ["one that nobody drained", false],
  ])("leaves %s as it was, and records no drain of its own meanwhile", async (_title, isDrained) => {
    await using folder = await temporaryDirectory("qh-orders");
    await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
    const program = new ScriptedHive(folder.join("program"));
    program.answer({ ...NOTHING_LEFT, left: ["process 7"] });
    program.hold();
    const hive = { ...hiveOf("gpu1", folder.path), installDir: program.installDir };
    world.store.commit({ hives: [{ ...newHiveRow(hive, 0), isDrained, stoppedByOperator: true }], events: [] });
    await using given = await ordersOn(
      world,
      () => false,
      () => ({ ...world.settings, hives: [hive] }),
    );
    await given.orders.take("gpu1", "key:me");
    const removal = given.orders.remove("gpu1", false, "key:me");
    removal.catch(() => undefined);
    await until(() => program.calls("stop").length === 1, 10_000, "it to be stopped");
    // Its queen may be killed now.
    expect(world.store.hives()).toMatchObject([{ isDrained, state: "stopping" }]);
    program.letGo();
    await expect(removal).rejects.toMatchObject({ kind: "stop_failed" });
    expect(world.store.hives()).toMatchObject([{ isDrained }]);
    expect(given.hives.member("gpu1").keeper.isDrainedByOperator).toBe(isDrained);

    // Stopped this time, and its end cannot be recorded.
    program.answer(NOTHING_LEFT);
    world.isDiskFull = true;
    await expect(given.orders.remove("gpu1", false, "key:me")).rejects.toMatchObject({ kind: "storage_failed" });
    world.isDiskFull = false;
    await given.orders.stop("gpu1", "stop", "key:me");
    expect(world.store.hives()).toMatchObject([{ isDrained, state: "stopped" }]);
    // Started again, it is to get work unless an operator says otherwise.
    await given.orders.start("gpu1", "key:me");
    expect(given.hives.forWorkers()).toMatchObject([{ arriving: true, hopeful: !isDrained }]);
  });

  it("lets an operator's drain that is ordered meanwhile stand", async () => {
    await using world = await KeeperWorld.open();
    const keeper = world.keeper();
    await keeper.orderFor("key:me", "drain_requested", true);
    expect([keeper.isDrainedByOperator, world.row.isDrained]).toEqual([false, false]);
    await keeper.orderFor("key:other", "drain_requested");
    expect([keeper.isDrainedByOperator, world.row.isDrained]).toEqual([true, true]);
  });
});

function hiveOf(id: string, folder: string): HiveSettings {
  const [hive] = resolveSettings({ hives: [{ id, host: "local" }] }, placeIn(folder), 0).hives;
  if (hive === undefined) throw new Error("cannot read a hive's settings: it is configured");
  return hive;
}

/** A hive that ran. */
function goneRow(id: string, folder: string): HiveRow {
  return { ...newHiveRow(hiveOf(id, folder), 0), state: "running", identity: RUN };
}

function placeIn(folder: string): Parameters<typeof resolveSettings>[1] {
  return { file: null, workingDirectory: folder, home: folder, machineId: "machine", sshAgent: null };
}
