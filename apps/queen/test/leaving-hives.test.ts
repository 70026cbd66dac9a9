import { Deadline, silentLog, systemClock } from "@queen-and-hive/daemon";
import { type TemporaryDirectory, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { QhError } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { stopRows } from "../src/cli/stop-recorded-hives.ts";
import { resolveSettings } from "../src/config/resolve.ts";
import { LeavingHives } from "../src/hives/leaving-hives.ts";
import { stopHives } from "../src/hives/stop-cascade.ts";
import { openSqliteStore } from "../src/store/sqlite-store.ts";
import type { HiveRow, Store } from "../src/store/store.ts";
import { QUEEN, RUN } from "./keeper-world.ts";
import { NOTHING_LEFT, ScriptedHive } from "./scripted-hive.ts";

const LEFT = { ...NOTHING_LEFT, left: ["process 7"] };

/** A registry with one hive that no configuration has, on this machine, whose program a test answers for. */
class LeavingWorld implements AsyncDisposable {
  readonly program: ScriptedHive;
  readonly store: Store;
  readonly gone: string[] = [];
  readonly leaving: LeavingHives;
  readonly row: HiveRow;
  isDiskFull = false;
  readonly #folder: TemporaryDirectory;

  private constructor(folder: TemporaryDirectory) {
    this.#folder = folder;
    this.program = new ScriptedHive(folder.join("program"));
    const store = openSqliteStore({ path: folder.join("queen.db"), clock: systemClock, onRequestsLost: () => undefined });
    this.store = {
      ...store,
      commit: (change) => {
        if (this.isDiskFull) throw new QhError("storage_failed", "cannot write the registry: ENOSPC");
        return store.commit(change);
      },
    };
    this.row = {
      hiveId: "gpu1",
      state: "running",
      since: "2026-01-01T00:00:00.000Z",
      identity: RUN,
      restarts: 0,
      lastError: null,
      stateDir: folder.join("state"),
      reach: null,
      installDir: this.program.installDir,
      last: null,
    };
    store.commit({ hives: [this.row], events: [] });
    const { restart } = this.settings();
    this.leaving = new LeavingHives({
      store: this.store,
      queenId: () => QUEEN.queen_id,
      budgetMs: 10_000,
      restart: { ...restart, firstMs: 20, maxMs: 20 },
      workersOf: () => [],
      onGone: (hiveId) => this.gone.push(hiveId),
      clock: systemClock,
      random: Math.random,
      log: silentLog,
    });
  }

  static async open(): Promise<LeavingWorld> {
    return new LeavingWorld(await temporaryDirectory("qh-leaving"));
  }

  settings(): ReturnType<typeof resolveSettings> {
    const { path } = this.#folder;
    return resolveSettings({}, { file: null, workingDirectory: path, home: path, machineId: "machine", sshAgent: null }, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leaving[Symbol.asyncDispose]();
    this.store[Symbol.dispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

test("a hive that left the configuration is listed and stopped again and again until that is proven, then forgotten", async () => {
  await using world = await LeavingWorld.open();
  world.program.answer(LEFT);
  world.leaving.begin(world.row);
  await until(() => world.program.calls("stop").length >= 3, 20_000, "three tries");
  await until(() => world.leaving.get("gpu1")?.record.state === "failed", 20_000, "a try to have failed");
  expect(world.leaving.get("gpu1")?.record.last_error).toContain("process 7");
  expect(world.gone).toEqual([]);
  world.program.answer(NOTHING_LEFT);
  await until(() => world.leaving.all().length === 0, 20_000, "it to be forgotten");
  expect(world.gone).toEqual(["gpu1"]);
  expect(world.store.hives()).toEqual([]);
  expect(world.program.calls("stop").every((words) => !words.includes("--keep-workers"))).toBe(true);
});

test("one that was proven to be gone is forgotten without a look", async () => {
  await using world = await LeavingWorld.open();
  world.leaving.begin({ ...world.row, state: "stopped", isEmpty: true });
  expect([world.leaving.all(), world.store.hives(), world.gone]).toEqual([[], [], ["gpu1"]]);
  expect(world.program.calls("stop")).toEqual([]);
});

test("one that is wanted again is nobody's before a stop of it that is under way has ended", async () => {
  await using world = await LeavingWorld.open();
  world.program.answer(NOTHING_LEFT);
  world.program.hold();
  world.leaving.begin(world.row);
  await until(() => world.program.calls("stop").length === 1, 20_000, "it to be stopped");
  let released = 0;
  const calls = [1, 2].map(async () => {
    await world.leaving.release("gpu1");
    released += 1;
  });
  await new Promise(setImmediate);
  expect([released, world.leaving.all().length]).toEqual([0, 1]);
  world.program.letGo();
  await Promise.all(calls);
  expect([released, world.leaving.all().length, world.gone]).toEqual([2, 0, []]);
  expect(world.store.hives()).toHaveLength(1);
});

test("a disk that does not take its end leaves it to be tried again", async () => {
  await using world = await LeavingWorld.open();
  world.program.answer(NOTHING_LEFT);
  world.isDiskFull = true;
  world.leaving.begin(world.row);
  await until(() => world.program.calls("stop").length >= 2, 20_000, "a second try");
  expect(world.store.hives()).toHaveLength(1);
  world.isDiskFull = false;
  await until(() => world.store.hives().length === 0, 20_000, "it to be forgotten");
});

test("the stop of the queen has it in her report, and does not call it clean while something may be left", async () => {
  await using world = await LeavingWorld.open();
  world.program.answer(LEFT);
  world.leaving.begin(world.row);
  const hives = (): Parameters<typeof stopHives>[0] => world.leaving.all().map((leaving) => leaving.stoppable("SIGINT"));
  const left = await stopHives(hives(), "by_config", Deadline.in(10_000), () => undefined);
  expect(left).toMatchObject({ clean: false, hives: [{ hive_id: "gpu1", fate: "left" }] });
  expect(world.store.hives()).toHaveLength(1);
  world.program.answer(NOTHING_LEFT);
  const gone = await stopHives(hives(), "stop", Deadline.in(10_000), () => undefined);
  expect(gone).toMatchObject({ clean: true, hives: [{ hive_id: "gpu1", fate: "stopped" }] });
  expect(world.store.hives()).toEqual([]);
});

test("without a queen, what was recorded as stopped is looked at too, and a full disk keeps nothing from being stopped or told", async () => {
  await using world = await LeavingWorld.open();
  world.store.commit({
    hives: [
      { ...world.row, state: "stopped" },
      { ...world.row, hiveId: "gpu2" },
    ],
    events: [],
  });
  world.program.answer(NOTHING_LEFT);
  world.isDiskFull = true;
  const told = await stopRows(world.settings(), world.store, QUEEN.queen_id);
  expect(world.program.calls("stop")).toHaveLength(2);
  expect(told).toMatchObject({
    clean: true,
    hives: [
      { hive_id: "gpu1", fate: "stopped", message: expect.stringContaining("ENOSPC") },
      { hive_id: "gpu2", fate: "stopped", message: expect.stringContaining("ENOSPC") },
    ],
  });
  world.isDiskFull = false;
  await stopRows(world.settings(), world.store, QUEEN.queen_id);
  expect(world.store.hives().map(({ state, isEmpty }) => [state, isEmpty])).toEqual([
    ["stopped", true],
    ["stopped", true],
  ]);
  // Another queen has taken them meanwhile: that proves nothing of what was ours.
  world.program.answer({ error: { code: "owned_by_another_queen", message: "cannot stop it: it is another's" } });
  const others = await stopRows(world.settings(), world.store, QUEEN.queen_id);
  expect(others.hives.map(({ fate }) => fate)).toEqual(["not_ours", "not_ours"]);
  expect(world.store.hives().map(({ state, isEmpty }) => [state, isEmpty])).toEqual([
    ["stopped", false],
    ["stopped", false],
  ]);
});
