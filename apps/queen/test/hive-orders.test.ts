import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { HiveFleet } from "../src/hives/hive-fleet.ts";
import { createHiveOrders, type HiveOrders } from "../src/hives/hive-orders.ts";
import { FleetWorld } from "./fleet-world.ts";
import { QUEEN } from "./keeper-world.ts";

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
    await using world = await FleetWorld.start({ state_dir: folder.path, hives: [{ id: "local", host: "local" }] }, { bytes: 0 });
    const { settings, store, clock, fleet: workers } = world;
    const callbacks = { localUrl: () => "", directUrl: () => null, serve: () => Promise.reject(new Error("not asked for")) };
    await using hives = await HiveFleet.create({
      settings,
      store,
      queen: () => QUEEN,
      callbacks,
      metrics: createMetrics(),
      clock,
      log: silentLog,
    });
    const reload = (): typeof settings => settings;
    const orders = createHiveOrders({ settings, reload, hives, workers, isStopping: () => true, clock, log: silentLog });
    await expect(order(orders)).rejects.toMatchObject({ kind: "shutting_down" });
    expect(store.hives()).toEqual([]);
  },
);
