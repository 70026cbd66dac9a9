import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import { expectNoProcesses, type Program, startProgram, startTestHive, type TestHive, until } from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, HIVE_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";
import { identityOf } from "./supervision-kit.ts";

const OWNER = queenAt("http://127.0.0.1:9");
const SLOW_STOP = { shutdown: { budget: "240s" }, stop: { term: "120s" } };

test("a TERM that comes while the hive adopts its workers is not lost: it stops with them", async () => {
  await using hive = await startTestHive({ queen: OWNER });
  const deaf = await readyWorker(hive, ["--fault", "ignore-term"]);
  const other = await readyWorker(hive);
  await hive.commands.kill();
  // Recovery finishes the stop of the last daemon first, which takes seconds.
  const ledger = join(hive.stateDir, "workers", deaf.worker_id, "ledger.json");
  const entry: Record<string, unknown> = JSON.parse(readFileSync(ledger, "utf8"));
  writeFileSync(ledger, JSON.stringify({ ...entry, phase: "stopping", stop_wanted: true }));
  const epoch = (): string => readFileSync(join(hive.stateDir, "epoch.json"), "utf8");
  const last = epoch();
  await using program = await runInForeground(hive);
  await until(() => epoch() !== last, 30_000, "the hive to open");
  program.send("SIGTERM");
  expect(await program.ended(60_000)).toEqual({ code: 0, signal: null });
  expect([deaf, other].map((worker) => isProcessAlive(identityOf(worker)))).toEqual([false, false]);
  await expectNoProcesses({ folder: hive.folder });
}, 120_000);

test("a second Ctrl-C ends a stop soon that would take minutes, a second TERM does not", async () => {
  await using hive = await startTestHive({ queen: OWNER, config: SLOW_STOP });
  await hive.commands.stop();
  await using program = await runInForeground(hive);
  await until(async () => (await hive.peer.call(HIVE_ENDPOINTS.getHealth)).status === "ok", 30_000, "the hive to run");
  const worker = await readyWorker(hive, ["--fault", "ignore-term"]);
  program.send("SIGINT");
  await until(async () => (await hive.peer.call(HIVE_ENDPOINTS.getHealth)).status === "stopping", 30_000, "it to stop");
  program.send("SIGTERM");
  await until(() => program.output().includes("is stopping already"), 30_000, "it to hear TERM");
  expect(isProcessAlive(identityOf(worker))).toBe(true);
  program.send("SIGINT");
  expect(await program.ended(45_000)).toEqual({ code: 0, signal: null });
  await expectNoProcesses({ folder: hive.folder });
}, 120_000);

test.each([
  ["lost", (path: string) => rmSync(path)],
  ["damaged", (path: string) => writeFileSync(path, "\u0000garbage")],
])(
  "a hive whose identity.json is %s is found again by start and stop",
  async (_what, spoil) => {
    await using hive = await startTestHive();
    const { pid } = hive.identity;
    const file = join(hive.stateDir, "identity.json");
    spoil(file);
    expect(await hive.commands.start()).toMatchObject({ already_running: true, pid });
    spoil(file);
    expect(await hive.commands.stop()).toMatchObject({ was_running: true, left: [], stopped: [{ what: "hive", pid }] });
  },
  90_000,
);

test("a second hive is told who holds the lock, also when that one does not say who it is", async () => {
  await using hive = await startTestHive({ start: false });
  await hive.start();
  await hive.commands.stop();
  const lock = join(hive.stateDir, "daemon.lock");
  const { cwd, env } = hive.commands.place;
  const holding = ["flock", "-F", lock, "sh", "-c", "echo held; exec sleep 600"];
  await using holder = await startProgram(holding, { cwd, env, logFile: join(hive.folder, "holder.log") });
  await until(() => holder.output().includes("held"), 30_000, "the lock to be held");
  const refused = await hive.commands.run(["run"]);
  expect([refused.exitCode, refused.stderr]).toEqual([
    COMMAND_EXIT.lockTaken,
    expect.stringContaining(`process ${holder.identity.pid} holds ${lock}`),
  ]);
}, 90_000);

async function readyWorker(hive: TestHive, flags: readonly string[] = []): Promise<WorkerRecord> {
  const { worker_id } = await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: fakeWorkerOrder(OWNER, flags) });
  return await until(
    async () => {
      const record = await hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id } });
      return record.state === "ready" ? record : null;
    },
    30_000,
    `${worker_id} to be ready`,
  );
}

function runInForeground(hive: TestHive): Promise<Program> {
  const { command, cwd, env, stateDir } = hive.commands.place;
  return startProgram([...command, "run", "--state-dir", stateDir], { cwd, env, logFile: join(hive.folder, "run.log") });
}
