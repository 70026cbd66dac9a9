import type { HiveEvent, HiveIdentity, WorkerExited, WorkerReady, WorkerRecord } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { FleetWorld } from "./fleet-world.ts";
import { KeeperWorld, runOfEpoch } from "./keeper-world.ts";

const GIB = 1_073_741_824;
const MODEL = { id: "m", runtime: "fake", path: "/m", place: { memory: "1GiB" }, workers: { min: 0, max: 1 } } as const;

describe("a hive whose state was put back", () => {
  it("is heard again about its workers: their messages count from its next snapshot, however low they are numbered", async () => {
    await using world = await FleetWorld.start({ models: [MODEL] }, { bytes: 64 * GIB });
    world.ask("m", 10);
    await world.run(10_000);
    const [worker] = world.fleet.list();
    if (worker === undefined) return expect.unreachable("one is ready");
    world.fleet.acceptExited("local", exited(worker, { incarnation: 1, sequence: 50 }));
    world.fleet.acceptExited("local", exited(worker, { incarnation: 2, sequence: 51 }));
    const again = ready(worker, { incarnation: 1, sequence: 3 });
    const loading: WorkerRecord = { ...worker, ...again, state: "loading", ready_at: null };
    expect(() => world.fleet.acceptReady("local", again)).toThrow(/older than what has taken effect/);
    world.fleet.onHiveEvent("local", snapshot(loading));
    expect(world.fleet.list()).toMatchObject([{ state: "backing_off" }]);

    world.fleet.onHiveWentBack("local");
    world.fleet.onHiveEvent("local", snapshot(loading));
    expect(world.fleet.list()).toMatchObject([{ state: "loading", incarnation: 1, pid: again.pid }]);
    expect(world.fleet.acceptReady("local", again)).toEqual({ applied: true });
    expect(world.fleet.directory.ready("m")).toMatchObject([{ incarnation: 1, url: again.url }]);
    // From here on the order counts again.
    expect(() => world.fleet.acceptReady("local", { ...again, sequence: 2 })).toThrow(/older than what has taken effect/);
  });

  it("has the requests of a worker that it counts like an earlier one go to the process that there is", async () => {
    await using world = await FleetWorld.start({ models: [MODEL] }, { bytes: 64 * GIB });
    world.ask("m", 10);
    await world.run(10_000);
    const [worker] = world.fleet.list();
    const [before] = world.fleet.directory.ready("m");
    if (worker === undefined || before === undefined) return expect.unreachable("one is ready");
    world.fleet.onHiveWentBack("local");
    world.fleet.onHiveEvent("local", snapshot({ ...worker, pid: 999, start_time: 999, url: "http://127.0.0.1:999" }));
    expect(before.lost.aborted).toBe(true);
    expect(world.fleet.directory.ready("m")).toMatchObject([{ incarnation: before.incarnation, url: "http://127.0.0.1:999" }]);
  });

  it.each<[string, HiveIdentity, number]>([
    ["the same process", runOfEpoch(1), 0],
    ["a later run", runOfEpoch(2), 0],
    ["another process of the same epoch", { ...runOfEpoch(1), pid: 77 }, 1],
    ["one of a lower epoch", runOfEpoch(0), 1],
  ])("is told from one that goes on: %s", async (_what, run, wentBack) => {
    await using world = await KeeperWorld.open();
    world.startAnswer = async () => ({ ...run, already_running: false });
    const keeper = world.keeper();
    expect(keeper.announce(runOfEpoch(1), 40)).toEqual({ applied: true });
    keeper.post({ type: "start_requested" });
    await world.settle();
    expect([world.starts, world.wentBack]).toEqual([1, wentBack]);
    const announce = (): boolean => keeper.announce(run, 41 - wentBack * 30).applied;
    expect(announce()).toBe(true);
  });
});

function snapshot(worker: WorkerRecord): HiveEvent {
  return { type: "snapshot", sequence: 0, hive: runOfEpoch(1), workers: [worker] };
}

function exited(
  { worker_id, hive_id }: WorkerRecord,
  at: { readonly incarnation: number; readonly sequence: number },
): WorkerExited {
  const end = { exit_code: null, signal: "SIGKILL", cause: "killed", will_restart: true } as const;
  return { worker_id, hive_id, hive_epoch: 1, log_tail: [], ...end, ...at };
}

function ready(
  { worker_id, hive_id, model }: WorkerRecord,
  at: { readonly incarnation: number; readonly sequence: number },
): WorkerReady {
  const time = "2030-01-01T00:01:00.000Z";
  return {
    worker_id,
    hive_id,
    hive_epoch: 1,
    ...at,
    url: "http://127.0.0.1:998",
    model_ref: model,
    backend: "fake",
    device: "cpu",
    pid: 998,
    start_time: 998,
    spawned_at: time,
    ready_at: time,
    delivery_attempt: 1,
  };
}
