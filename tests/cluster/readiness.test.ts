import { metricOf, type RequestFilter, startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import type { WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, statesOf } from "./ask.ts";

const isSpawn: RequestFilter = ({ method, url }) => method === "POST" && url === "/v1/workers";
const isReady: RequestFilter = ({ url }) => url === "/v2/workers/ready";
const LOST_FOR_MS = 3_000;
const SLOW_TEST_MS = 60_000;

test(
  "from the spawn to the answer the queen sends one request, the spawn, and none to learn of readiness",
  async () => {
    await using cluster = await startTestCluster({ capture: true, workerFlags: ["--load-ms", "500"] });
    const { toHive, toQueen } = cluster.captures;
    const before = toHive.requests.length;
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    expect(toHive.requests.slice(before).map(({ method, url }) => `${method} ${url}`)).toEqual(["POST /v1/workers"]);
    expect(toQueen.count(isReady)).toBe(1);
    const worker = await onlyWorker(cluster);
    expect(await cluster.stats(worker)).toMatchObject({ started: 1, finished: 1, health_requests: 0 });
    expect(await metricOf(cluster.queen.url, "queen_ready_fallback_polls_total")).toBe(0);
  },
  SLOW_TEST_MS,
);

test(
  "a callback that is lost for three seconds is applied once, and nobody polls meanwhile",
  async () => {
    await using cluster = await startTestCluster({ capture: true });
    const { toHive, toQueen } = cluster.captures;
    const lost = toQueen.drop(isReady);
    const before = toHive.requests.length;
    const answer = ask(cluster.queen.url, { body: chat("fake") });
    await until(
      () => callsOf(cluster).length > 1 && msSinceFirst(cluster) >= LOST_FOR_MS,
      20_000,
      "the callback to be lost for 3 s",
    );
    expect(await statesOf(cluster.queen.url, (await onlyWorker(cluster)).worker_id)).not.toContain("ready");
    lost[Symbol.dispose]();
    expect((await answer).status).toBe(200);
    expect(callsOf(cluster).filter(({ dropped }) => !dropped)).toMatchObject([{ status: 200 }]);
    expect(toHive.requests.slice(before).map(({ method, url }) => `${method} ${url}`)).toEqual(["POST /v1/workers"]);
    await expectReadyOnce(cluster);
  },
  SLOW_TEST_MS,
);

test(
  "a callback whose answer is lost is delivered again and changes nothing the second time",
  async () => {
    await using cluster = await startTestCluster({ capture: true });
    const lost = cluster.captures.toQueen.dropAnswers(isReady);
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    await until(() => callsOf(cluster).length >= 2, 20_000, "the callback to come again");
    lost[Symbol.dispose]();
    const delivered = callsOf(cluster).length;
    await until(() => callsOf(cluster).length > delivered, 20_000, "the hive to hear the answer");
    await until(() => callsOf(cluster).at(-1)?.status !== null);
    expect(new Set(callsOf(cluster).map(({ status }) => status))).toEqual(new Set([200]));
    await expectReadyOnce(cluster);
  },
  SLOW_TEST_MS,
);

test(
  "a callback before the answer to the spawn call counts, and the late answer takes nothing back",
  async () => {
    await using cluster = await startTestCluster({ capture: true });
    const { toHive } = cluster.captures;
    const held = toHive.holdAnswers(isSpawn);
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    expect((await onlyWorker(cluster)).state).toBe("ready");
    expect(toHive.requests.filter(isSpawn)).toMatchObject([{ status: null }]);
    held[Symbol.dispose]();
    await until(() => toHive.requests.find(isSpawn)?.status === 202);
    // What the answer knows and the callback does not is taken over.
    await until(async () => (await onlyWorker(cluster)).boot_id !== null);
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    expect(toHive.count(isSpawn)).toBe(1);
    await expectReadyOnce(cluster);
  },
  SLOW_TEST_MS,
);

test(
  "requests for a model that nobody serves yet all wait for the same worker",
  async () => {
    const workerFlags = ["--load-ms", "300", "--slots", "16"];
    await using cluster = await startTestCluster({ capture: true, workerFlags, workers: { max: 4 } });
    const asked = Array.from({ length: 12 }, () => ask(cluster.queen.url, { body: chat("default") }));
    expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(cluster.captures.toHive.count(isSpawn)).toBe(1);
    expect(await cluster.stats(await onlyWorker(cluster))).toMatchObject({ finished: 12, failed: 0 });
    await expectReadyOnce(cluster);
  },
  SLOW_TEST_MS,
);

function callsOf(cluster: TestCluster): TestCluster["captures"]["toQueen"]["requests"] {
  return cluster.captures.toQueen.requests.filter(isReady);
}

function msSinceFirst(cluster: TestCluster): number {
  return performance.now() - (callsOf(cluster)[0]?.atMs ?? Number.POSITIVE_INFINITY);
}

async function onlyWorker(cluster: TestCluster): Promise<WorkerRecord> {
  const [worker, ...others] = await cluster.workers();
  if (worker === undefined) return expect.unreachable("the queen has a worker");
  expect(others).toEqual([]);
  return worker;
}

async function expectReadyOnce(cluster: TestCluster): Promise<void> {
  const states = await statesOf(cluster.queen.url, (await onlyWorker(cluster)).worker_id);
  expect(states.filter((state) => state === "ready")).toHaveLength(1);
  expect(await metricOf(cluster.queen.url, "queen_ready_fallback_polls_total")).toBe(0);
}
