import { describe, expect, it } from "vitest";
import { FleetWorld } from "./fleet-world.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" } } as const;

describe("workers of a hive that the configuration no longer has", () => {
  it.each([
    ["at most one worker, and somebody asks", { min: 0, max: 1 }, 1],
    ["a minimum", { min: 1, max: 1 }, 0],
  ])("do not count: a model with %s gets one on another hive", async (_title, workers, asks) => {
    await using world = await FleetWorld.start({ models: [{ ...MODEL, workers }] }, { bytes: 64 * GIB });
    world.fleet.onHiveState("local");
    world.ask("m", 10);
    await world.run(10_000);
    expect(world.fleet.list()).toMatchObject([{ hive_id: "local", state: "ready" }]);

    world.hives.splice(0);
    const other = world.addHive("other", 64 * GIB);
    world.fleet.onHiveState("other");
    for (let count = 0; count < asks; count += 1) world.ask("m", 10);
    await world.run(10_000);
    await world.clock.advance(3_000);
    expect(world.asked.map(({ error }) => error)).toEqual(world.asked.map(() => null));
    expect(world.asked.every(({ startedAtMs }) => startedAtMs !== null)).toBe(true);
    expect(other.models).toEqual(["m"]);
  });
});
