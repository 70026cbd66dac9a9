import { signalProcess } from "@queen-and-hive/daemon";
import { processesOf, startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import { type HiveRecord, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, statesOf } from "./ask.ts";
import { identityOf, livingOf } from "./identity.ts";
import { type Lie, startLyingHive } from "./lying-hive.ts";

/** Longer than a busy machine takes from a lost link to the next one. */
const RETRY_MS = 2_500;
/** How early the timers of two processes may seem to be. */
const TIMER_MS = 20;
const HEALTH = { interval: "1s", beat: "200ms", timeout: "1s", retry: "200ms", suspect_grace: "2s" };
const RESTART = { first: "100ms", max: "500ms", jitter: 0, breaker: { restarts: 1_000 } };
const OPTIONS = { capture: true, workers: { min: 1 }, config: { health: HEALTH, restart: RESTART } } as const;

test.each<[string, Lie, RegExp]>([
  ["answers 200 with nonsense", { body: () => "<html>It works!</html>" }, /cannot/],
  ["answers 200 with JSON that says nothing", { body: () => "{}" }, /cannot/],
  ["sends events that are none", { events: mapped(() => "data: {broken") }, /not JSON/],
  ["sends events of no known shape", { events: mapped(() => 'data: {"type":"worker","worker":7}') }, /an event of the hive/],
  ["is another hive at the same address", { body: replaced(/"hive_id":"local"/, '"hive_id":"stranger"') }, /stranger of epoch/],
  ["is another run at the same address", { body: replaced(/"hive_epoch":\d+/, '"hive_epoch":900') }, /epoch 900/],
  ["speaks a protocol that never was", { body: replaced(/"protocol":\{[^}]*\}/, '"protocol":{"min":0,"max":0}') }, /cannot/],
  ["speaks a newer protocol", { body: replaced(/"protocol":\{[^}]*\}/, '"protocol":{"min":98,"max":99}') }, /protocol 98 to 99/],
])(
  "a hive that %s is not used and said to be so; its worker lives, and serves once the hive is sane",
  async (_what, lie, said) => {
    await using cluster = await startTestCluster(OPTIONS);
    const [worker] = await cluster.workersReady(1);
    if (worker === undefined) return expect.unreachable("one is ready");
    const { toHive } = cluster.captures;
    const honest = `http://${cluster.queen.config.hives?.[0]?.listen ?? ""}`;
    await using liar = await startLyingHive(honest, lie);
    toHive.retarget(liar.url);
    expect(await cluster.queen.hive("local").kill()).toBe(true);
    const hive = await until(async () => {
      const now = await hiveOf(cluster);
      return liar.lies() > 0 && said.test(now.last_error ?? "") ? now : null;
    }, 60_000);
    expect(hive.state).not.toBe("running");
    expect((await ask(cluster.queen.url, { method: "GET", path: "/livez" })).status).toBe(200);
    expect(livingOf([identityOf(worker)])).toEqual([worker.pid]);

    toHive.retarget(honest);
    // A hive of another version is not tried again before somebody has changed it.
    if (hive.state === "failed") await cluster.queen.command(["hive", "start", "local"]);
    await cluster.queen.hivesRunning(undefined, 60_000);
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    expect(essence(await cluster.workersReady(1))).toEqual(essence([worker]));
  },
  180_000,
);

test("a hive that is sane for its first word only is asked again in peace: no sooner than health.retry", async () => {
  const config = { health: { ...HEALTH, retry: `${RETRY_MS}ms` }, restart: RESTART };
  await using cluster = await startTestCluster({ ...OPTIONS, config });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  const { toHive } = cluster.captures;
  const honest = `http://${cluster.queen.config.hives?.[0]?.listen ?? ""}`;
  const begunMs: number[] = [];
  const events: Lie["events"] = async function* (all) {
    begunMs.push(performance.now());
    let isFirst = true;
    for await (const event of all) {
      // What the hive says of its address has to lead here again.
      yield isFirst ? event.replaceAll(honest, toHive.url) : "data: {broken";
      isFirst = false;
    }
  };
  await using liar = await startLyingHive(honest, { events });
  toHive.retarget(liar.url);
  expect(await cluster.queen.hive("local").kill()).toBe(true);
  await until(() => begunMs.length >= 4, 60_000, "the event stream to be opened again and again");
  const gapsMs = begunMs.slice(1).map((ms, index) => ms - (begunMs[index] ?? 0));
  expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(RETRY_MS - TIMER_MS);
  expect(livingOf([identityOf(worker)])).toEqual([worker.pid]);
  toHive.retarget(honest);
  await cluster.queen.hivesRunning(undefined, 60_000);
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
}, 180_000);

test("events that come twice and out of order change nothing about what is true", async () => {
  await using cluster = await startTestCluster(OPTIONS);
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  await using liar = await startLyingHive(`http://${cluster.queen.config.hives?.[0]?.listen ?? ""}`, { events: shuffled });
  cluster.captures.toHive.retarget(liar.url);
  expect(await cluster.queen.hive("local").kill()).toBe(true);
  await until(() => liar.lies() > 0, 60_000, "the event stream to be shuffled");
  await cluster.queen.hivesRunning(undefined, 60_000);
  let now: WorkerRecord = worker;
  for (const incarnation of [2, 3]) {
    signalProcess(identityOf(now), "SIGKILL");
    now = await until(async () => {
      const found = (await cluster.workers()).find(({ worker_id }) => worker_id === worker.worker_id);
      // The callback may come first; what it does not say, the shuffled stream says later.
      const isWhole = found?.state === "ready" && found.incarnation === incarnation && found.boot_id !== null;
      return isWhole ? found : null;
    }, 60_000);
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  }
  // Late news of the past may have been on their way until now.
  await until(async () => (await statesOf(cluster.queen.url, worker.worker_id)).at(-1) === "ready", 20_000);
  const states = await statesOf(cluster.queen.url, worker.worker_id);
  expect(states.filter((state) => state === "ready")).toHaveLength(3);
  expect(await cluster.workers()).toMatchObject([{ worker_id: worker.worker_id, incarnation: 3, state: "ready" }]);
  const engines = processesOf({ folder: cluster.queen.folder }).filter(({ command }) =>
    /^\S*node\S* .*fake-worker/.test(command),
  );
  expect(engines.map(({ identity }) => identity.pid)).toEqual([now.pid]);
}, 180_000);

/** Each event but the first, which is the snapshot, comes twice, and after the one that follows it. */
async function* shuffled(events: AsyncIterable<string>): AsyncIterable<string> {
  let isFirst = true;
  let kept: string | null = null;
  for await (const event of events) {
    if (isFirst) yield event;
    else if (kept === null) kept = event;
    else {
      yield* [event, kept, kept, event];
      kept = null;
    }
    isFirst = false;
  }
}

function mapped(change: (event: string) => string): NonNullable<Lie["events"]> {
  return async function* (events) {
    for await (const event of events) yield change(event);
  };
}

function replaced(what: RegExp, by: string): NonNullable<Lie["body"]> {
  return (body) => body.replace(what, by);
}

async function hiveOf(cluster: TestCluster): Promise<HiveRecord> {
  return await cluster.queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "local" } });
}

function essence(workers: readonly WorkerRecord[]): readonly object[] {
  return workers.map(({ worker_id, incarnation, state, pid, start_time }) => ({
    worker_id,
    incarnation,
    state,
    pid,
    start_time,
  }));
}
