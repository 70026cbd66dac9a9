import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import type { QueenConfigInput } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { resolveSettings } from "../src/config/resolve.ts";
import { HiveFleet } from "../src/hives/hive-fleet.ts";
import { createHiveOrders, type HiveOrders } from "../src/hives/hive-orders.ts";
import { newHiveRow } from "../src/hives/hive-row.ts";
import { FleetWorld } from "./fleet-world.ts";
import { QUEEN, RUN } from "./keeper-world.ts";
import { ScriptedHive } from "./scripted-hive.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" }, workers: { min: 0, max: 1 } } as const;

function configIn(folder: string): QueenConfigInput {
  return { state_dir: folder, hives: [{ id: "local", host: "local", state_dir: `${folder}/hive` }], models: [MODEL] };
}

/** The real orders on the one configured hive of a fleet's world, whose state directory is empty. */
async function ordersOn(
  world: FleetWorld,
  isStopping: boolean,
): Promise<{ orders: HiveOrders; hives: HiveFleet } & AsyncDisposable> {
  const { settings, store, clock, fleet: workers } = world;
  const callbacks = { localUrl: () => "", directUrl: () => null, serve: () => Promise.reject(new Error("not asked for")) };
  const metrics = createMetrics();
  const hives = await HiveFleet.create({ settings, store, queen: () => QUEEN, callbacks, metrics, clock, log: silentLog });
  const reload = (): typeof settings => settings;
  const orders = createHiveOrders({ settings, reload, hives, workers, isStopping: () => isStopping, clock, log: silentLog });
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
    await using given = await ordersOn(world, true);
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
  await using given = await ordersOn(world, false);
  world.isDiskFull = true;
  expect(await given.orders.stop("local", "stop", "key:me")).toMatchObject({ hive_id: "local", fate: "already_stopped" });
});

test("a hive that left the file and cannot be stopped is listed, and forgotten only when an operator insists", async () => {
  await using folder = await temporaryDirectory("qh-orders");
  await using world = await FleetWorld.start({ state_dir: folder.path, hives: [] }, { bytes: 0 });
  const program = new ScriptedHive(folder.join("program"));
  const [hive] = resolveSettings({ hives: [{ id: "gpu1", host: "local" }] }, placeIn(folder.path), 0).hives;
  if (hive === undefined) return expect.unreachable("it is configured");
  const row = { ...newHiveRow(hive, 0), state: "running", identity: RUN, installDir: program.installDir } as const;
  world.store.commit({ hives: [row], events: [] });
  await using given = await ordersOn(world, false);
  given.hives.start();
  expect(given.hives.records(() => 0)).toMatchObject([{ hive_id: "gpu1", state: "stopping" }]);
  await expect(given.orders.remove("gpu1", false, "key:me")).rejects.toMatchObject({ kind: "stop_failed" });
  expect(world.store.hives()).toHaveLength(1);
  expect(await given.orders.remove("gpu1", true, "key:me")).toMatchObject({ hive_id: "gpu1", fate: "unreachable" });
  expect([given.hives.records(() => 0), world.store.hives()]).toEqual([[], []]);
});

function placeIn(folder: string): Parameters<typeof resolveSettings>[1] {
  return { file: null, workingDirectory: folder, home: folder, machineId: "machine", sshAgent: null };
}
