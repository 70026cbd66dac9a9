import { readFileSync } from "node:fs";
import { signalProcess } from "@queen-and-hive/daemon";
import { fakeModel, startTestCluster, type TestCluster, until } from "@queen-and-hive/dev-env";
import { newWorkerId, QUEEN_ENDPOINTS, type WorkerExited, type WorkerReady, type WorkerRecord } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, ask, chat, errorOf, statesOf } from "./ask.ts";
import { identityOf } from "./identity.ts";

/** Beyond everything that a hive of a test has said. */
const LATER = 1_000_000;
/** So far away that a worker that has died stays dead for the test. */
const NO_RESTART_SOON = { first: "10m", max: "10m" };

let cluster: TestCluster;
let worker: WorkerRecord;
let message: WorkerReady;
let sequence = LATER;

beforeAll(async () => {
  const models = [fakeModel("fake", "fake", { workers: { min: 1, max: 1 }, place: { hives: ["one"] } })];
  const options = { hives: ["one", "two"], config: { restart: NO_RESTART_SOON, models } };
  cluster = await startTestCluster(options);
  [worker] = await onlyReady();
  const { hives } = await cluster.queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const hive = hives.find(({ hive_id }) => hive_id === worker.hive_id);
  const { pid, start_time } = identityOf(worker);
  message = {
    worker_id: worker.worker_id,
    url: worker.url ?? "",
    model_ref: "fake",
    backend: "fake",
    device: "cpu",
    hive_id: worker.hive_id,
    hive_epoch: hive?.hive_epoch ?? 0,
    sequence: 0,
    incarnation: 1,
    pid,
    start_time,
    spawned_at: worker.spawned_at ?? "",
    ready_at: worker.ready_at ?? "",
    delivery_attempt: 1,
  };
}, 60_000);

afterAll(() => cluster[Symbol.asyncDispose](), 60_000);

test.each<[string, Partial<Record<keyof WorkerReady, unknown>>, number, string]>([
  ["with a field of a wrong type", { incarnation: "1" }, 400, "invalid_body"],
  ["without an address", { url: undefined }, 400, "invalid_body"],
  ["for an unknown worker", { worker_id: newWorkerId() }, 410, "worker_gone"],
  ["in the name of another hive", { hive_id: "two" }, 403, "forbidden"],
  ["of an older epoch", { hive_epoch: 0 }, 409, "stale_epoch"],
  ["out of order", { sequence: 1 }, 409, "stale_sequence"],
])("a ready callback %s is refused and changes nothing", async (_what, wrong, status, code) => {
  // The newest that was heard, so that an old one is old.
  expect((await send({ ...message, sequence: nextSequence() })).status).toBe(200);
  const answer = await send({ ...message, sequence: nextSequence(), ...wrong });
  expect([answer.status, errorOf(answer.text).code]).toEqual([status, code]);
  await expectUnchanged();
});

test("a ready callback with no token, a wrong one or another hive's is refused", async () => {
  const body = { ...message, sequence: nextSequence() };
  const none = await ask(cluster.queen.url, { path: "/v2/workers/ready", body });
  const wrong = await send(body, `${tokenOf(message.hive_id)}x`);
  const others = await send(body, tokenOf("two"));
  expect([none, wrong, others].map(({ status, text }) => [status, errorOf(text).code])).toEqual([
    [401, "unauthenticated"],
    [401, "unauthenticated"],
    [403, "forbidden"],
  ]);
  await expectUnchanged();
});

test.each<[string, Partial<Record<keyof WorkerExited, unknown>>, string, number, string]>([
  ["for an unknown worker", { worker_id: newWorkerId() }, "one", 410, "worker_gone"],
  ["in the name of another hive", { hive_id: "two" }, "one", 403, "forbidden"],
  ["about a worker of another hive", { hive_id: "two" }, "two", 403, "forbidden"],
  ["of an older epoch", { hive_epoch: 0 }, "one", 409, "stale_epoch"],
  ["out of order", { sequence: 1 }, "one", 409, "stale_sequence"],
])("a message %s that a worker has ended for good is refused and changes nothing", async (_what, wrong, hive, status, code) => {
  expect((await send({ ...message, sequence: nextSequence() })).status).toBe(200);
  const { worker_id, hive_id, hive_epoch } = message;
  const end = { exit_code: 1, signal: null, cause: "bad_flag", log_tail: [], will_restart: false };
  const exited = { worker_id, hive_id, hive_epoch, incarnation: 7, sequence: nextSequence(), ...end, ...wrong };
  const answer = await send(exited, tokenOf(hive), "/v2/workers/exited");
  expect([answer.status, errorOf(answer.text).code]).toEqual([status, code]);
  await expectUnchanged();
});

test("a ready callback that comes twice is acknowledged twice and takes effect once", async () => {
  const body = { ...message, sequence: nextSequence() };
  for (const delivery_attempt of [1, 2]) {
    const answer = await send({ ...body, delivery_attempt });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { applied: false }]);
  }
  await expectUnchanged();
});

test("a ready callback of a worker that has died meanwhile does not bring it back", async () => {
  signalProcess(identityOf(worker), "SIGKILL");
  await until(async () => (await recordOf(worker.worker_id)).state === "backing_off", 20_000);
  const answer = await send({ ...message, sequence: nextSequence() });
  expect([answer.status, errorOf(answer.text).code]).toEqual([409, "stale_incarnation"]);
  expect(await recordOf(worker.worker_id)).toMatchObject({ state: "backing_off", pid: null, url: null });
});

test("a ready callback of an older incarnation is refused once the next one lives", async () => {
  const config = { restart: { first: "50ms", jitter: 0 } };
  await using other = await startTestCluster({ workers: { min: 1, max: 1 }, config });
  const [first] = await other.workersReady(1);
  if (first === undefined) return expect.unreachable("one is ready");
  signalProcess(identityOf(first), "SIGKILL");
  const second = await until(async () => (await other.workersReady(1)).find(({ incarnation }) => incarnation === 2), 30_000);
  const { pid, start_time } = identityOf(first);
  const stale = { ...message, worker_id: first.worker_id, hive_id: "local", url: first.url, pid, start_time, hive_epoch: 1 };
  const token = readFileSync(`${other.queen.hive("local").place.stateDir}/secrets/token`, "utf8").trim();
  const headers = { authorization: `Bearer ${token}` };
  const answer = await ask(other.queen.url, { path: "/v2/workers/ready", body: { ...stale, sequence: LATER }, headers });
  expect([answer.status, errorOf(answer.text).code]).toEqual([409, "stale_incarnation"]);
  expect(await other.workers()).toMatchObject([{ incarnation: 2, pid: second.pid, url: second.url, state: "ready" }]);
  expect((await ask(other.queen.url, { body: chat("fake") })).status).toBe(200);
}, 60_000);

function nextSequence(): number {
  sequence += 1;
  return sequence;
}

function tokenOf(hiveId: string): string {
  return readFileSync(`${cluster.queen.hive(hiveId).place.stateDir}/secrets/token`, "utf8").trim();
}

function send(body: object, token = tokenOf(message.hive_id), path = "/v2/workers/ready"): Promise<Answer> {
  return ask(cluster.queen.url, { path, body, headers: { authorization: `Bearer ${token}` } });
}

async function recordOf(workerId: string): Promise<WorkerRecord> {
  const found = (await cluster.workers()).find(({ worker_id }) => worker_id === workerId);
  return found ?? expect.unreachable(`the queen has ${workerId}`);
}

async function onlyReady(): Promise<[WorkerRecord]> {
  const [ready, ...others] = await cluster.workersReady(1);
  return ready === undefined || others.length > 0 ? expect.unreachable("one is ready") : [ready];
}

/** Same process, same address, and one step to ready in the journal. */
async function expectUnchanged(): Promise<void> {
  const { pid, url } = worker;
  expect(await recordOf(worker.worker_id)).toMatchObject({ state: "ready", incarnation: 1, pid, url });
  expect((await statesOf(cluster.queen.url, worker.worker_id)).filter((state) => state === "ready")).toHaveLength(1);
}
