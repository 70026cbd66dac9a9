import {
  fakeModel,
  firstOf,
  hiveOn,
  readyWorkers,
  startSshGround,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { type HiveRecord, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";
import { daemonsOf } from "./on-ground.ts";

it("of two queens that start the same hive at the same time one has it, and the other is refused by name", async () => {
  await using ground = await startSshGround({ hosts: [{}] });
  const there = firstOf(ground);
  const config = {
    hives: [await hiveOn(ground, there, "gpu1", { state_dir: "~/shared" })],
    models: [fakeModel("far", "fake", { workers: { min: 1 } })],
  };
  await using one = await startTestQueen({ config, start: false });
  await using other = await startTestQueen({ config, start: false });
  await Promise.all([one.start(), other.start()]);
  const hiveOf = (queen: TestQueen): Promise<HiveRecord> =>
    queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "gpu1" } });
  const isSettled = async (): Promise<boolean> => {
    const states = (await Promise.all([hiveOf(one), hiveOf(other)])).map(({ state }) => state);
    return states.includes("running") && states.includes("failed");
  };
  await until(isSettled, 60_000);
  const oneHasIt = (await hiveOf(one)).state === "running";
  const [owner, refused] = oneHasIt ? [one, other] : [other, one];
  const ownerId = /"queen_id":"(queen-[^"]+)"/.exec(owner.program.output())?.[1] ?? "nobody";
  expect((await hiveOf(refused)).last_error).toMatch(
    new RegExp(`^cannot serve queen-[^ ]+: this hive belongs to ${ownerId} at [^ ]+; stop that one or take the hive over$`),
  );
  const [worker] = await readyWorkers(owner.peer, 1);
  expect((await ask(owner.url, { body: chat("far") })).status).toBe(200);
  // One daemon, and the processes of its one worker.
  expect(daemonsOf(there).map(({ identity }) => identity.pid)).toEqual([(await hiveOf(owner)).pid]);

  // The refused one ends without touching what is not hers.
  expect(await refused.stop()).toMatchObject({ code: 0, signal: null });
  expect((await ask(owner.url, { body: chat("far") })).status).toBe(200);
  expect((await readyWorkers(owner.peer, 1))[0]).toMatchObject({ worker_id: worker?.worker_id, incarnation: 1 });
  expect((await owner.stop()).code).toBe(0);
  expect(there.processes()).toEqual([]);
}, 180_000);
