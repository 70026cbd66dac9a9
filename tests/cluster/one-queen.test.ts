import { createServer } from "node:net";
import { isProcessAlive } from "@queen-and-hive/daemon";
import {
  expectNoProcesses,
  fakeModel,
  programCommand,
  startProgram,
  startTestCluster,
  startTestQueen,
  type TestQueen,
  testEnvironment,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, type HiveRecord, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, errorOf } from "./ask.ts";
import { identityOf } from "./identity.ts";

test("a second queen on the same state is refused by naming the first, who does not notice", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 } });
  const { queen } = cluster;
  const workers = await cluster.workersReady(1);
  const [hive] = await hivesOf(queen);
  const second = await queen.command(["serve"]);
  expect(second.exitCode).toBe(COMMAND_EXIT.failed);
  expect(second.stderr).toMatch(/^cannot start: a queen already runs on .*\n$/);
  expect(second.stderr).toContain(`pid ${queen.program.identity.pid} at ${queen.url}`);
  expect(second.stderr).toContain("queen down");
  expect(await hivesOf(queen)).toMatchObject([{ pid: hive?.pid, hive_epoch: hive?.hive_epoch, state: "running" }]);
  expect((await cluster.workers()).map(({ pid }) => pid)).toEqual(workers.map(({ pid }) => pid));
  expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);
}, 60_000);

test("of queens that start at the same time on the same state one serves and the others say who", async () => {
  await using queen = await startTestQueen({ start: false });
  const argv = [...programCommand("queen"), "serve", "--config", queen.configFile];
  const surroundings = { env: testEnvironment(queen.folder), cwd: queen.folder };
  const start = (name: string) => startProgram(argv, { ...surroundings, logFile: `${queen.folder}/${name}.log` });
  const queens = await Promise.all(["first", "second", "third"].map(start));
  await until(() => queens.filter((one) => one.end() !== null).length === 2, 30_000, "two of three queens to be refused");
  const [serving, ...none] = queens.filter((one) => one.end() === null);
  if (serving === undefined || none.length > 0) return expect.unreachable("one serves");
  for (const refused of queens.filter((one) => one !== serving)) {
    expect(refused.end()).toEqual({ code: COMMAND_EXIT.failed, signal: null });
    expect(refused.output()).toContain(`cannot start: a queen already runs on ${queen.stateDir}: pid ${serving.identity.pid}`);
  }
  await until(async () => (await fetch(`${queen.url}/livez`)).ok, 20_000);
  serving.send("SIGINT");
  expect(await serving.ended()).toEqual({ code: 0, signal: null });
}, 60_000);

test("a port that another program has is named with that program, before any hive is touched", async () => {
  await using queen = await startTestQueen({ start: false });
  const stranger = createServer().listen(Number(new URL(queen.url).port), "127.0.0.1");
  try {
    const result = await queen.command(["serve"]);
    expect(result.exitCode).toBe(COMMAND_EXIT.failed);
    expect(result.stderr).toMatch(new RegExp(`^cannot listen on ${new URL(queen.url).host}.*process ${process.pid}\\b.*\\n$`));
    await expectNoProcesses({ folder: queen.folder });
    expect(await queen.hive("local").status()).toMatchObject({ state: "stopped", identity: null });
  } finally {
    stranger.close();
  }
}, 60_000);

test("a hive whose port is taken says by whom, and starts once the port is free; the request that waited is answered", async () => {
  const config = { models: [fakeModel("fake")], restart: { first: "200ms", max: "200ms", breaker: { restarts: 100 } } };
  await using queen = await startTestQueen({ start: false, config });
  const port = Number(queen.config.hives?.[0]?.listen?.split(":")[1]);
  const stranger = createServer().listen(port, "127.0.0.1");
  try {
    await queen.start();
    const hive = await until(async () => (await hivesOf(queen)).find(({ last_error }) => last_error !== undefined), 20_000);
    expect(hive).toMatchObject({ pid: null, last_error: expect.stringContaining(`process ${process.pid}`) });
    const answer = ask(queen.url, { body: chat("fake") });
    stranger.close();
    expect((await answer).status).toBe(200);
  } finally {
    stranger.close();
  }
}, 60_000);

test("a hive that another queen owns is left alone: she says whose it is, and so do her answers", async () => {
  await using owner = await startTestCluster({ workers: { min: 1 } });
  const [worker] = await owner.workersReady(1);
  const [owned] = await hivesOf(owner.queen);
  if (worker === undefined || owned === undefined) return expect.unreachable("both run");
  const hives = owner.queen.config.hives ?? [];
  await using other = await startTestQueen({ config: { hives, models: [fakeModel("fake")] } });
  const queenId = worker.queen_id ?? "";
  const refused = await until(async () => (await hivesOf(other)).find(({ state }) => state === "failed"), 20_000);
  expect(refused.last_error).toContain(queenId);
  const answer = await ask(other.url, { body: chat("fake") });
  expect([answer.status, errorOf(answer.text).code]).toEqual([503, "no_hive_available"]);
  expect(await other.stop("SIGINT")).toEqual({ code: 0, signal: null });
  expect([isProcessAlive(identityOf(owned)), isProcessAlive(identityOf(worker))]).toEqual([true, true]);
  expect((await ask(owner.queen.url, { body: chat("fake") })).status).toBe(200);
}, 60_000);

async function hivesOf(queen: TestQueen): Promise<readonly HiveRecord[]> {
  return (await queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
}
