import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import { startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, journalOf } from "./ask.ts";
import { identityOf } from "./identity.ts";

const GARBAGE = "\u0000this is not what was written here\n";

test.each([
  ["the registry", "queen.db"],
  ["the queen's name", "queen-id.json"],
])(
  "after the loss of %s the queen starts, says so, keeps the file aside, and finds hive and worker again",
  async (_what, name) => {
    await using cluster = await startTestCluster({ workers: { min: 1 } });
    const worker = await onlyReady(cluster);
    await cluster.queen.stop("SIGKILL");
    const damaged = join(cluster.queen.stateDir, name);
    for (const file of [damaged, `${damaged}-wal`]) if (existsSync(file)) writeFileSync(file, GARBAGE.repeat(200));
    await cluster.queen.start();
    await cluster.queen.hivesRunning();
    expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
    await expectSame(cluster, worker);
    expect(keptAside(damaged)).toHaveLength(1);
    const lost = (await journalOf(cluster.queen.url)).filter(({ kind }) => kind === "registry.lost");
    expect(lost.map(({ details }) => details?.["message"])).toEqual([expect.stringContaining(keptAside(damaged)[0] ?? "")]);
    expect(cluster.queen.program.output()).toContain("DATA LOST");
  },
  60_000,
);

test("after the loss of a worker's record its process is ended with proof, said, and started anew", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, config: { restart: { first: "50ms", jitter: 0 } } });
  const worker = await onlyReady(cluster);
  const { stateDir } = cluster.queen.hive("local").place;
  const ledger = join(stateDir, "workers", worker.worker_id, "ledger.json");
  expect(existsSync(ledger)).toBe(true);
  await cluster.queen.hive("local").kill();
  writeFileSync(ledger, GARBAGE);
  await until(() => !isProcessAlive(identityOf(worker)), 30_000, "the worker without a record to be ended");
  const [again] = await until(async () => {
    const ready = (await cluster.workers()).filter(({ state, pid }) => state === "ready" && pid !== worker.pid);
    return ready.length === 1 ? ready : null;
  }, 30_000);
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  expect(again?.pid).not.toBe(worker.pid);
  expect(keptAside(ledger)).toHaveLength(1);
  expect(alarmsOf(stateDir)).toContainEqual(expect.stringContaining(keptAside(ledger)[0] ?? "nothing is kept aside"));
}, 60_000);

test("after the loss of a hive's outbox with a message in it, that is said and its worker is adopted as it was", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, config: { restart: { first: "50ms", jitter: 0 } } });
  const worker = await onlyReady(cluster);
  const { stateDir } = cluster.queen.hive("local").place;
  const outbox = join(cluster.queen.hive("local").place.stateDir, "outbox", "outbox.jsonl");
  expect(existsSync(outbox)).toBe(true);
  const [before] = (await cluster.queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
  await cluster.queen.hive("local").kill();
  // As if the queen had not heard of the worker's ready yet.
  const [message] = readFileSync(outbox, "utf8").match(/^\{"add":.*"worker_ready".*$/m) ?? [];
  expect(message).toBeDefined();
  writeFileSync(outbox, `${message?.slice(0, -9)}\n`);
  await until(async () => {
    const [hive] = (await cluster.queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
    return hive?.state === "running" && hive.hive_epoch === (before?.hive_epoch ?? 0) + 1;
  }, 30_000);
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  await expectSame(cluster, worker);
  expect(keptAside(outbox)).toHaveLength(1);
  expect(alarmsOf(stateDir)).toContainEqual(expect.stringContaining(keptAside(outbox)[0] ?? "nothing is kept aside"));
}, 60_000);

/** What the hive has said as an error, line by line. */
function alarmsOf(stateDir: string): readonly string[] {
  const lines = readFileSync(join(stateDir, "logs", "hive.log"), "utf8").split("\n");
  return lines.filter((line) => /error/i.test(line));
}

async function onlyReady(cluster: TestCluster): Promise<WorkerRecord> {
  const [worker] = await cluster.workersReady(1);
  return worker ?? expect.unreachable("one is ready");
}

async function expectSame(cluster: TestCluster, { worker_id, pid, incarnation }: WorkerRecord): Promise<void> {
  expect(await cluster.workers()).toMatchObject([{ worker_id, pid, incarnation, state: "ready" }]);
}

function keptAside(path: string): readonly string[] {
  const folder = dirname(path);
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((candidate) => candidate.startsWith(`${path}.damaged-`));
}
