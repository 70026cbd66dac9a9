import { isProcessAlive, signalProcess } from "@queen-and-hive/daemon";
import { fakeModel, startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import { type HiveRecord, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, contentOf, dataOf, openStream } from "./ask.ts";
import { identityOf, livingOf } from "./identity.ts";

test("two hives on one machine: kill -9 and restart of each leaves all workers alone, and no stream notices", async () => {
  const config = {
    models: [fakeModel("fake", "fake", { workers: { per_hive: 1 } })],
    restart: { first: "50ms", jitter: 0 },
  };
  const workerFlags = ["--token-rate", "10", "--tokens", "100000", "--slots", "4"];
  await using cluster = await startTestCluster({ hives: ["one", "two"], config, workerFlags });
  const workers = await cluster.workersReady(2);
  expect(workers.map(({ hive_id }) => hive_id).toSorted()).toEqual(["one", "two"]);
  const hives = await hivesOf(cluster);
  const streams = [];
  for (const max_tokens of [60, 60])
    streams.push(await openStream(cluster.queen.url, chat("fake", { stream: true, max_tokens })));
  await Promise.all(streams.map(({ begun }) => begun));

  for (const id of ["one", "two"]) {
    const { hive_epoch: killed } = await hiveOf(cluster, id);
    expect(await cluster.queen.hive(id).kill()).toBe(true);
    expect(livingOf(workers.map(identityOf))).toEqual(workers.map(({ pid }) => pid));
    await until(async () => {
      const hive = await hiveOf(cluster, id);
      return hive.state === "running" && hive.hive_epoch === (killed ?? 0) + 1;
    }, 30_000);
    const other = id === "one" ? "two" : "one";
    const expected = id === "one" ? hives.find(({ hive_id }) => hive_id === other)?.hive_epoch : 2;
    expect((await hiveOf(cluster, other)).hive_epoch).toBe(expected);
    expect(withoutSamples(await cluster.workers())).toEqual(withoutSamples(workers));
  }

  for (const stream of streams) {
    const text = await stream.whole;
    expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
    expect(contentOf(text).length).toBeGreaterThan(0);
  }
}, 90_000);

test("a hive that hangs is ended and started again; its worker and the stream on it go on meanwhile", async () => {
  const health = { beat: "200ms", missed_beats: 3, timeout: "500ms" };
  const config = { health, restart: { first: "50ms", jitter: 0 } };
  const workerFlags = ["--token-rate", "20", "--tokens", "100000"];
  await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags, config });
  const [worker] = await cluster.workersReady(1);
  const stream = await openStream(cluster.queen.url, chat("fake", { stream: true, max_tokens: 80 }));
  await stream.begun;
  const hung = identityOf(await hiveOf(cluster, "local"));
  signalProcess(hung, "SIGSTOP");
  await until(() => !isProcessAlive(hung), 30_000, "the hung daemon to be ended");
  await cluster.queen.hivesRunning();
  const text = await stream.whole;
  expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
  expect((await ask(cluster.queen.url, { body: chat("fake", { max_tokens: 2 }) })).status).toBe(200);
  expect(withoutSamples(await cluster.workers())).toEqual(withoutSamples(worker === undefined ? [] : [worker]));
}, 60_000);

test("a request without a first byte leaves a suspect hive for another one, and its worker is told to stop", async () => {
  const config = {
    models: [fakeModel("fake", "fake", { workers: { per_hive: 1 } })],
    health: { beat: "200ms", missed_beats: 3, timeout: "500ms", suspect_grace: "60s" },
  };
  await using cluster = await startTestCluster({
    hives: ["one", "two"],
    config,
    workerFlags: ["--token-rate", "20", "--tokens", "100000"],
  });
  const workers = await cluster.workersReady(2);
  // Whole answers have no byte before their end, which is in 20 s.
  const asked = ask(cluster.queen.url, { body: chat("fake", { max_tokens: 400 }) });
  const open = async () => (await cluster.queen.peer.call(QUEEN_ENDPOINTS.listRequests)).requests[0];
  const first = await until(async () => {
    const request = await open();
    return request?.state === "placed" ? request : null;
  }, 20_000);
  const suspect = identityOf(await hiveOf(cluster, first.hive_id ?? ""));
  signalProcess(suspect, "SIGSTOP");
  try {
    const second = await until(async () => {
      const request = await open();
      return request?.attempts === 2 ? request : null;
    }, 20_000);
    expect(second).toMatchObject({ request_id: first.request_id, state: "placed" });
    expect(second.hive_id).not.toBe(first.hive_id);
    const left = workers.find(({ worker_id }) => worker_id === first.worker_id);
    if (left === undefined) return expect.unreachable("the first worker was ready");
    await until(async () => (await cluster.stats(left)).cancelled === 1, 20_000, "the first worker to be told");
    expect((await asked).status).toBe(200);
  } finally {
    signalProcess(suspect, "SIGCONT");
  }
}, 120_000);

async function hivesOf(cluster: TestCluster): Promise<readonly HiveRecord[]> {
  return (await cluster.queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
}

async function hiveOf(cluster: TestCluster, id: string): Promise<HiveRecord> {
  const hive = (await hivesOf(cluster)).find(({ hive_id }) => hive_id === id);
  return hive ?? expect.unreachable(`the queen has the hive ${id}`);
}

/** Which worker runs as which process since when: all that a restart of its hive must not change. */
function withoutSamples(workers: readonly WorkerRecord[]): readonly object[] {
  return workers
    .map(({ worker_id, incarnation, hive_id, state, pid, start_time, boot_id, url, restarts }) => {
      return { worker_id, incarnation, hive_id, state, pid, start_time, boot_id, url, restarts };
    })
    .toSorted((left, right) => left.worker_id.localeCompare(right.worker_id));
}
