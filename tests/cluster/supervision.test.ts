import { readFile } from "node:fs/promises";
import { createPeer, signalProcess } from "@queen-and-hive/daemon";
import { fakeModel, fakeRuntime, processesOf, startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, contentOf, dataOf, errorOf, journalOf, openStream, statesOf } from "./ask.ts";
import { identityOf, livingOf } from "./identity.ts";

const MANY = 20;
const RESTART_FIRST_MS = 500;

test(`kill -9 of a hive with ${MANY} workers and ${MANY} open streams: none lost, none twice, streams whole`, async () => {
  const config = {
    restart: { first: `${RESTART_FIRST_MS}ms`, jitter: 0 },
  };
  const workerFlags = ["--token-rate", "10", "--tokens", "100000", "--slots", "1"];
  await using cluster = await startTestCluster({ workers: { min: MANY, max: MANY }, workerFlags, config });
  const before = await cluster.workersReady(MANY, 120_000);
  const streams = await Promise.all(
    Array.from({ length: MANY }, () => openStream(cluster.queen.url, chat("fake", { stream: true, max_tokens: 150 }))),
  );
  await Promise.all(streams.map(({ begun }) => begun));
  expect((await Promise.all(before.map((worker) => cluster.stats(worker)))).map(({ open_now }) => open_now)).toEqual(
    before.map(() => 1),
  );

  const killed = await hiveEpoch(cluster);
  const killedAtMs = Date.now();
  expect(await cluster.queen.hive("local").kill()).toBe(true);
  await until(async () => (await hiveEpoch(cluster)) === killed + 1, 60_000, "the next daemon");
  await cluster.workersReady(MANY, 60_000);

  const after = await cluster.workers();
  expect(processesAndStates(after)).toEqual(processesAndStates(before));
  expect(livingOf(after.map(identityOf))).toHaveLength(MANY);
  const engines = processesOf({ folder: cluster.queen.folder }).filter(({ command }) => command.includes("fake-worker/main"));
  // Each engine has its shim above it, which names it in its own command line.
  expect(
    engines
      .filter(({ command }) => !command.startsWith("/bin/sh"))
      .map(({ identity }) => identity.pid)
      .toSorted(),
  ).toEqual(after.map(({ pid }) => pid).toSorted());
  for (const stream of streams) {
    const text = await stream.whole;
    expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
    expect(contentOf(text).split(" ").length).toBe(150);
  }
  // She saw the stream end, learnt that the process is gone, and waited for restart.first.
  const story = (await journalOf(cluster.queen.url)).filter(
    ({ kind, time }) => kind === "hive.state" && Date.parse(time) >= killedAtMs,
  );
  expect(story.map(({ to }) => to)).toEqual(
    ["suspect", "crashed", "starting", "starting", "running"].filter((state, index, all) => state !== all[index - 1]),
  );
  const atMs = (state: string): number => Date.parse(story.find(({ to }) => to === state)?.time ?? "");
  expect(atMs("starting") - atMs("crashed")).toBeGreaterThanOrEqual(RESTART_FIRST_MS - 5);
}, 300_000);

test("a worker in a crash loop is given up with its cause and last words; others are untouched", async () => {
  const config = {
    models: [
      fakeModel("fake", "fake", { workers: { min: 1, max: 1 } }),
      fakeModel("broken", "broken", { workers: { min: 1, max: 1 } }),
    ],
    runtimes: { broken: fakeRuntime(["--fault", "crash-while-loading=7", "--load-ms", "20"]) },
    restart: { first: "50ms", max: "200ms", jitter: 0, breaker: { restarts: 5, window: "5m", unready_in_a_row: 3 } },
  };
  await using cluster = await startTestCluster({ config });
  const [healthy] = await cluster.workersReady(1);
  const broken = await until(async () => {
    const found = (await cluster.workers()).find(({ model }) => model === "broken");
    return found?.state === "failed" ? found : null;
  }, 60_000);
  expect(broken).toMatchObject({ incarnation: 3, restarts: 2, pid: null, exit: { exit_code: 7, cause: "unknown" } });
  expect(broken.exit?.log_tail.at(-1)).toContain("cannot load: the fault crash-while-loading is on");
  const exits = (await journalOf(cluster.queen.url)).filter(
    ({ kind, worker_id }) => kind === "worker.exit" && worker_id === broken.worker_id,
  );
  expect(exits.map(({ details }) => details?.["will_restart"])).toEqual([true, true, false]);
  const refused = await ask(cluster.queen.url, { body: chat("broken") });
  expect([refused.status, errorOf(refused.text).details?.["cause"]]).toEqual([503, "unknown"]);
  expect(refused.text).not.toContain("crash-while-loading");
  expect((await ask(cluster.queen.url, { body: chat("fake", { max_tokens: 1 }) })).status).toBe(200);
  expect(processesAndStates((await cluster.workers()).filter(({ model }) => model === "fake"))).toEqual(
    processesAndStates(healthy === undefined ? [] : [healthy]),
  );
}, 120_000);

test("a worker that hangs gets no requests, is replaced, and the request that met it is answered by another", async () => {
  const config = {
    health: { workers: { interval: "200ms", timeout: "500ms", hung_after: "1s", replace_after: "1s" } },
    runtimes: { fake: fakeRuntime(["--slots", "1"], "http") },
    restart: { first: "50ms", jitter: 0 },
  };
  await using cluster = await startTestCluster({ workers: { min: 2, max: 2 }, config });
  const [hung, other] = await cluster.workersReady(2);
  if (hung === undefined || other === undefined) return expect.unreachable("two are ready");
  signalProcess(identityOf(hung), "SIGSTOP");
  // As many as there are slots: one of them meets the worker that does not answer.
  const answers = await Promise.all([1, 2].map(() => ask(cluster.queen.url, { body: chat("fake", { max_tokens: 1 }) })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  const replaced = await until(async () => {
    const found = (await cluster.workers()).find(({ worker_id }) => worker_id === hung.worker_id);
    return found?.state === "ready" && found.incarnation === 2 ? found : null;
  }, 60_000);
  expect(replaced).toMatchObject({ exit: { cause: "hung" } });
  const states = await statesOf(cluster.queen.url, hung.worker_id);
  expect(states.slice(0, 5)).toEqual(["starting", "loading", "ready", "hung", "stopping"]);
  expect((await cluster.workers()).find(({ worker_id }) => worker_id === other.worker_id)?.pid).toBe(other.pid);
}, 120_000);

test("the steps of a stop are in the journal, each with its duration", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 } });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  const token = (await readFile(`${cluster.queen.stateDir}/secrets/hive-local.token`, "utf8")).trim();
  const url = `http://${cluster.queen.config.hives?.[0]?.listen ?? ""}`;
  await using hive = createPeer({ url, token: () => token, name: "the hive", timeoutMs: 20_000, maxSockets: 1 });
  await hive.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: worker.worker_id } });
  await until(async () => (await cluster.workers()).every(({ worker_id }) => worker_id !== worker.worker_id), 20_000);
  const steps = (await journalOf(cluster.queen.url)).filter(
    ({ kind, worker_id }) => kind === "worker.step" && worker_id === worker.worker_id,
  );
  expect(steps.map(({ details }) => details?.["step"])).toEqual(["idle", "term", "port", "gone"]);
  for (const { details } of steps) expect(details?.["duration_ms"]).toBeGreaterThanOrEqual(0);
}, 60_000);

async function hiveEpoch(cluster: TestCluster): Promise<number> {
  const { hives } = await cluster.queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const [hive] = hives;
  return hive?.state === "running" ? (hive.hive_epoch ?? 0) : 0;
}

/** All that a restart of the hive must not change. */
function processesAndStates(workers: readonly WorkerRecord[]): readonly object[] {
  return workers
    .map(({ worker_id, incarnation, state, pid, start_time, boot_id, url, restarts }) => {
      return { worker_id, incarnation, state, pid, start_time, boot_id, url, restarts };
    })
    .toSorted((left, right) => left.worker_id.localeCompare(right.worker_id));
}
