import {
  fakeModel,
  fakeRuntime,
  firstOf,
  hiveOn,
  readyCounts,
  readyWorkers,
  startSshGround,
  startTestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";

it("a link that is cut while a worker loads loses nothing: the request that waits is answered once it is back", async () => {
  await using ground = await startSshGround({ hosts: [{}] });
  const there = firstOf(ground);
  await using queen = await startTestQueen({
    config: {
      hives: [await hiveOn(ground, there, "gpu1")],
      runtimes: { slow: fakeRuntime(["--load-ms", "4000"]) },
      models: [fakeModel("kept"), fakeModel("slow", "slow")],
      health: { beat: "500ms", retry: "500ms", timeout: "1s", suspect_grace: "2s" },
    },
  });
  await queen.hivesRunning();
  expect((await ask(queen.url, { body: chat("kept") })).status).toBe(200);
  const [kept] = await readyWorkers(queen.peer, 1);
  const stateOf = async (): Promise<string> =>
    (await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "gpu1" } })).state;

  const waiting = ask(queen.url, { body: chat("slow") });
  await until(async () => {
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    return workers.some(({ model, pid }) => model === "slow" && pid !== null);
  });
  there.cutLink();
  // The worker becomes ready, and says so, while nobody can be told.
  await until(async () => (await stateOf()) === "unreachable", 60_000);
  expect((await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers).toContainEqual(
    expect.objectContaining({ model: "slow", state: expect.not.stringMatching("ready") }),
  );
  const { callbacks } = await readyCounts(queen.url);
  there.mendLink();
  expect((await waiting).status).toBe(200);
  await queen.hivesRunning();
  const workers = await readyWorkers(queen.peer, 2);
  expect(workers).toContainEqual(expect.objectContaining({ worker_id: kept?.worker_id, incarnation: 1 }));
  expect(await readyCounts(queen.url)).toEqual({ callbacks: callbacks + 1, polls: 0 });
  expect(workers.map(({ restarts }) => restarts)).toEqual([0, 0]);
  expect((await ask(queen.url, { body: chat("kept") })).status).toBe(200);
}, 180_000);
