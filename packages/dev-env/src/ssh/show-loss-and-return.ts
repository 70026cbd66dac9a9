import assert from "node:assert/strict";
import { isProcessAlive, type ProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { type HiveRecord, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";
import { fakeModel, fakeRuntime } from "../queen/fake-runtime.ts";
import { readyWorkers } from "../queen/ready-workers.ts";
import { startTestQueen, type TestQueen } from "../queen/test-queen.ts";
import { type SshGround, startSshGround } from "./ground.ts";
import { hiveOn } from "./hive-on.ts";
import { answerOf, downAndProve, installFolder, type TwoHostsShow } from "./show-steps.ts";
import type { SshTestHost } from "./ssh-test-host.ts";

const MODEL = "chat";
const WITHIN_MS = 90_000;
const TOKENS_PER_S = 20;
/** Long enough that a hive dies and returns meanwhile. */
const STREAM_TOKENS = 200;
const SHORT = { max_tokens: 4 };
const CHATS_WHILE_CUT = 6;

/** The stage: a queen, and two hosts each with a hive and a worker of the one model. */
interface Stage {
  readonly queen: TestQueen;
  readonly ground: SshGround;
  readonly say: TwoHostsShow["say"];
  /** Content that no chat has begun with, so that none is led back to the worker of an earlier one. */
  readonly question: () => string;
}

/**
 * Two hosts, and everything that dies comes back: a hive, a worker, a link and the queen are lost one after the other, no
 * request fails, nothing runs twice, and in the end nothing of ours is left. Throws at the first thing that is not so.
 */
export async function showLossAndReturn({ say, executable, kind }: TwoHostsShow): Promise<void> {
  say("making two empty hosts");
  await using ground = await startSshGround({ hosts: [{}, {}], hive: false, ...(kind === undefined ? {} : { kind }) });
  const [north, south] = ground.hosts;
  if (north === undefined || south === undefined) throw new Error("a ground of two hosts has them");
  await using queen = await startTestQueen({
    config: {
      install: { from: installFolder(ground, executable) },
      hives: [await hiveOn(ground, north, "north"), await hiveOn(ground, south, "south")],
      models: [fakeModel(MODEL, "fake", { workers: { min: 2, max: 2 } })],
      runtimes: { fake: fakeRuntime(["--token-rate", String(TOKENS_PER_S), "--tokens", String(STREAM_TOKENS)]) },
    },
  });
  let asked = 0;
  const question = (): string => {
    asked += 1;
    return `Question ${asked}: what is a hive?`;
  };
  const stage: Stage = { queen, ground, say, question };
  say("queen serve: installing and starting the hives north and south");
  await queen.hivesRunning(["north", "south"], WITHIN_MS);
  await answersFromBoth(stage);
  await loseHive(stage);
  await loseWorker(stage);
  await loseHost(stage, north);
  await loseQueen(stage);
  await downAndProve(queen, ground, await readyWorkers(queen.peer, 2, { model: MODEL }), say);
}

async function answersFromBoth({ queen, say, question }: Stage): Promise<void> {
  const workers = await readyWorkers(queen.peer, 2, { model: MODEL });
  assert.deepEqual(workers.map(({ hive_id: hiveId }) => hiveId).toSorted(), ["north", "south"], "one worker on each host");
  for (const { worker_id: workerId, hive_id: hiveId, pid } of workers) {
    await until(
      async () => (await answerOf(queen, MODEL, question(), SHORT)).includes(workerId),
      WITHIN_MS,
      `a chat on ${hiveId}`,
    );
    say(`a chat is answered by ${workerId} on ${hiveId}, process ${pid}`);
  }
}

async function loseHive({ queen, say, question }: Stage): Promise<void> {
  const before = await readyWorkers(queen.peer, 2, { model: MODEL });
  const hive = await hiveNamed(queen, "north");
  const streams = Promise.all(before.map(() => answerOf(queen, MODEL, question(), { stream: true })));
  streams.catch(() => undefined);
  await until(async () => (await inFlight(queen)).every((count) => count === 1), WITHIN_MS, "a stream on each worker");
  say(`a stream is open on each worker; kill -9 of the hive north, process ${hive.pid}`);
  const since = performance.now();
  signalProcess(identityOf(hive), "SIGKILL");
  const back = await until(
    async () => {
      const now = await hiveNamed(queen, "north");
      return now.state === "running" && now.hive_epoch === (hive.hive_epoch ?? 0) + 1 ? now : null;
    },
    WITHIN_MS,
    "the next hive of north",
  );
  say(`north is back ${secondsSince(since)} later as process ${back.pid}`);
  const texts = await streams;
  for (const text of texts) assert.ok(isWhole(text), `a stream went on to its end: ${text.slice(-400)}`);
  assert.deepEqual(
    processesOf(await readyWorkers(queen.peer, 2, { model: MODEL })),
    processesOf(before),
    "the same workers, the same processes",
  );
  say(`both workers are the processes they were, and both streams came whole (${STREAM_TOKENS} tokens each)`);
}

async function loseWorker({ queen, say, question }: Stage): Promise<void> {
  const before = await readyWorkers(queen.peer, 2, { model: MODEL });
  const killed = before.find(({ hive_id: hiveId }) => hiveId === "south");
  assert.ok(killed !== undefined, "south has a worker");
  say(`kill -9 of ${killed.worker_id} on south, process ${killed.pid}`);
  const since = performance.now();
  signalProcess(identityOf(killed), "SIGKILL");
  await answerOf(queen, MODEL, question(), SHORT);
  say("the next chat is answered");
  const [next] = await until(
    async () => {
      const ready = await readyWorkers(queen.peer, 2, { model: MODEL });
      const again = ready.filter(({ incarnation, hive_id }) => hive_id === "south" && incarnation === killed.incarnation + 1);
      return again.length === 1 ? again : null;
    },
    WITHIN_MS,
    "the worker's next incarnation",
  );
  assert.ok(next !== undefined);
  await until(
    async () => (await answerOf(queen, MODEL, question(), SHORT)).includes(next.worker_id),
    WITHIN_MS,
    "a chat on south",
  );
  say(`it was replaced ${secondsSince(since)} later by process ${next.pid}, which answers`);
}

async function loseHost({ queen, ground, say, question }: Stage, north: SshTestHost): Promise<void> {
  const before = await readyWorkers(queen.peer, 2, { model: MODEL });
  const processes = processesOn(ground);
  const other = before.find(({ hive_id: hiveId }) => hiveId === "south");
  assert.ok(other !== undefined, "south has a worker");
  say(`the link to north is cut; ${CHATS_WHILE_CUT} chats at the same time`);
  north.cutLink();
  const cutAt = performance.now();
  const answers = Array.from({ length: CHATS_WHILE_CUT }, () => answerOf(queen, MODEL, question(), SHORT));
  for (const text of await Promise.all(answers)) assert.ok(text.includes(other.worker_id), "south's worker has answered");
  say(`all of them are answered by south, the last one ${secondsSince(cutAt)} after the cut`);
  await until(async () => (await hiveNamed(queen, "north")).state === "unreachable", WITHIN_MS, "north to be unreachable");
  say(`north is unreachable ${secondsSince(cutAt)} after the cut; the link is mended`);
  north.mendLink();
  const mendedAt = performance.now();
  await queen.hivesRunning(["north"], WITHIN_MS);
  say(`north is back ${secondsSince(mendedAt)} later`);
  const after = await readyWorkers(queen.peer, 2, { model: MODEL });
  assert.deepEqual(processesOf(after), processesOf(before), "the same workers, the same processes");
  await until(() => isSame(processesOn(ground), processes), WITHIN_MS, "hosts with the processes that they had, and no other");
  const returned = after.find(({ hive_id: hiveId }) => hiveId === "north");
  assert.ok(returned !== undefined, "north has a worker");
  await until(
    async () => (await answerOf(queen, MODEL, question(), SHORT)).includes(returned.worker_id),
    WITHIN_MS,
    "a chat on north",
  );
  say("north answers again, with the processes that were there before and not one more");
}

async function loseQueen({ queen, ground, say, question }: Stage): Promise<void> {
  const workers = await readyWorkers(queen.peer, 2, { model: MODEL });
  const hives = [await hiveNamed(queen, "north"), await hiveNamed(queen, "south")];
  const processes = processesOn(ground);
  say(`kill -9 of the queen, process ${queen.program.identity.pid}`);
  assert.equal((await queen.stop("SIGKILL")).signal, "SIGKILL");
  for (const { pid, ...one } of [...hives, ...workers])
    assert.ok(isProcessAlive(identityOf({ pid, ...one })), `process ${pid} lives on`);
  const since = performance.now();
  await queen.start();
  await answerOf(queen, MODEL, question(), SHORT);
  say(`started again; she has answered a chat after ${secondsSince(since)}`);
  await queen.hivesRunning(["north", "south"], WITHIN_MS);
  const hivesNow = [await hiveNamed(queen, "north"), await hiveNamed(queen, "south")];
  assert.deepEqual(processesOf(hivesNow), processesOf(hives), "the same hives");
  assert.deepEqual(processesOf(await readyWorkers(queen.peer, 2, { model: MODEL })), processesOf(workers), "the same workers");
  await until(() => isSame(processesOn(ground), processes), WITHIN_MS, "hosts with the processes that they had, and no other");
  say("the same hives and the same workers, and not one process more");
}

async function hiveNamed(queen: TestQueen, hiveId: string): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: hiveId } });
}

async function inFlight(queen: TestQueen): Promise<readonly (number | null)[]> {
  return (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers.map(({ in_flight: count }) => count);
}

function identityOf({ pid, start_time, boot_id }: Pick<WorkerRecord, "pid" | "start_time" | "boot_id">): ProcessIdentity {
  assert.ok(pid !== null && start_time !== null && boot_id !== null, "what is listed as running has a process");
  return { pid, start_time, boot_id };
}

/** The identities of listed processes, in one order. */
function processesOf(listed: readonly Pick<WorkerRecord, "pid" | "start_time" | "boot_id">[]): readonly ProcessIdentity[] {
  return listed.map(identityOf).toSorted((left, right) => left.pid - right.pid);
}

/** The processes that live on the hosts, in one order. */
function processesOn({ hosts }: SshGround): readonly number[] {
  return hosts.flatMap((host) => host.processes().map(({ identity }) => identity.pid)).toSorted((left, right) => left - right);
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.join() === right.join();
}

function isWhole(stream: string): boolean {
  const tokens = stream.match(/"delta":\{[^}]*"content":"/g)?.length ?? 0;
  return stream.trimEnd().endsWith("data: [DONE]") && !stream.includes('"error"') && tokens >= STREAM_TOKENS;
}

function secondsSince(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`;
}
