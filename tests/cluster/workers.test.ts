import { isProcessAlive, signalProcess } from "@queen-and-hive/daemon";
import { startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import type { WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, openStream, statesOf } from "./ask.ts";
import { identityOf } from "./identity.ts";

const SLOW_TEST_MS = 60_000;
/** So slow and so long that a stream is open for as long as a test wants. */
const ENDLESS = ["--token-rate", "20", "--tokens", "100000"];

test(
  "workers.min is started without any request, and kept when one is killed",
  async () => {
    const config = { restart: { first: "50ms", jitter: 0 } };
    await using cluster = await startTestCluster({ workers: { min: 2, max: 3 }, config });
    const [killed, other] = await cluster.workersReady(2);
    if (killed === undefined || other === undefined) return expect.unreachable("two are ready");
    signalProcess(identityOf(killed), "SIGKILL");
    const again = await until(async () => {
      const ready = (await cluster.workers()).filter(({ state }) => state === "ready");
      return ready.length === 2 && ready.every(({ pid }) => pid !== killed.pid) ? ready : null;
    }, 30_000);
    expect(again.find(({ worker_id }) => worker_id === other.worker_id)?.pid).toBe(other.pid);
    expect(again.find(({ worker_id }) => worker_id === killed.worker_id)).toMatchObject({
      incarnation: 2,
      exit: { cause: "killed" },
    });
    expect(await cluster.workers()).toHaveLength(2);
    // The journal tells it in order, whichever of the hive's two ways of telling came first.
    const states = (await statesOf(cluster.queen.url, killed.worker_id)).filter((state) => state !== "crashed");
    expect(states).toEqual(["starting", "loading", "ready", "backing_off", "starting", "loading", "ready"]);
  },
  SLOW_TEST_MS,
);

test(
  "each conversation that begins goes to the least loaded worker",
  async () => {
    await using cluster = await startTestCluster({ workers: { min: 2, max: 2 }, workerFlags: [...ENDLESS, "--slots", "4"] });
    const workers = await cluster.workersReady(2);
    for (const expected of [
      [0, 1],
      [1, 1],
      [1, 2],
      [2, 2],
    ]) {
      const stream = await openStream(cluster.queen.url, {
        model: "fake",
        stream: true,
        messages: [{ role: "user", content: crypto.randomUUID() }],
      });
      stream.whole.catch(() => undefined);
      await stream.begun;
      expect((await openOn(cluster, workers)).toSorted()).toEqual(expected);
    }
    expect((await cluster.workers()).map(({ in_flight }) => in_flight)).toEqual([2, 2]);
  },
  SLOW_TEST_MS,
);

test(
  "one more worker is started while all slots are busy, up to workers.max, and the request then waits",
  async () => {
    await using cluster = await startTestCluster({ workers: { max: 2 }, workerFlags: [...ENDLESS, "--slots", "1"] });
    const streams = [];
    for (const count of [1, 2]) {
      const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
      stream.whole.catch(() => undefined);
      await stream.begun;
      streams.push(stream);
      expect((await cluster.workersReady(count)).length).toBe(count);
    }
    const third = ask(cluster.queen.url, { body: chat("fake", { max_tokens: 1 }) });
    await until(async () => (await metricOfQueue(cluster)) === 1);
    const [first] = await cluster.workers();
    if (first === undefined) return expect.unreachable("there are two");
    expect(await cluster.workers()).toHaveLength(2);
    // The worker that dies takes its stream along; its successor serves who waits.
    signalProcess(identityOf(first), "SIGKILL");
    expect((await third).status).toBe(200);
    expect(isProcessAlive(identityOf(first))).toBe(false);
  },
  SLOW_TEST_MS,
);

async function openOn(cluster: TestCluster, workers: readonly WorkerRecord[]): Promise<number[]> {
  return await Promise.all(workers.map(async (worker) => (await cluster.stats(worker)).open_now));
}

async function metricOfQueue(cluster: TestCluster): Promise<number> {
  const { text } = await ask(cluster.queen.url, { method: "GET", path: "/metrics" });
  return Number(/^queen_queue_depth\{model="fake"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}
