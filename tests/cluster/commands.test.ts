import { readlinkSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { isProcessAlive } from "@queen-and-hive/daemon";
import {
  programCommand,
  startProgram,
  startTestCluster,
  type TestCluster,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityOf } from "./identity.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ workers: { min: 1 } });
  await cluster.workersReady(1);
}, 60_000);
afterAll(() => cluster[Symbol.asyncDispose](), 60_000);

test("status, ps and events say what runs, as tables for people and as the lists of the API for programs", async () => {
  const [worker] = await cluster.workers();
  const pid = String(worker?.pid);
  const [status, ps, events] = await Promise.all(["status", "ps", "events"].map((word) => cluster.queen.command([word])));
  expect(status?.stdout).toMatch(/^queen .*: ok; workers: 1 ready\n\nHIVE +STATE .*\nlocal +running +\S+ +\d+ /);
  expect(ps?.stdout).toMatch(new RegExp(`^WORKER +MODEL .*\\n${worker?.worker_id} +fake +fake +local +ready +${pid} +0/4 `));
  expect(events?.stdout).toMatch(/hive\.state +local +starting -> running.*\n(.*\n)*.*worker\.state .*loading -> ready/);
  const [hives, workers, journal] = await Promise.all(
    ["status", "ps", "events"].map((word) => cluster.queen.command([word, "--json"])),
  );
  expect(hives?.json).toMatchObject({ status: "ok", hives: [{ hive_id: "local", state: "running" }] });
  expect(workers?.json).toMatchObject({ workers: [{ worker_id: worker?.worker_id, pid: worker?.pid, state: "ready" }] });
  for (const line of (journal?.stdout ?? "").trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("sequence");
});

test("logs prints the output of a model's workers or of one, and what is written then until Ctrl-C", async () => {
  const [worker] = await cluster.workers();
  if (worker === undefined) return expect.unreachable("there is a worker");
  const { worker_id: id } = worker;
  const words = [
    ["worker", "logs", id],
    ["logs", "fake", "--tail", "1"],
    ["logs", "fake", "--json"],
    ["logs", "nobody"],
  ];
  const [one, last, json, unknown] = await Promise.all(words.map((line) => cluster.queen.command(line)));
  expect(one?.stdout).toContain("is ready");
  expect(one?.stdout.endsWith(`\n${last?.stdout}`) || one?.stdout === last?.stdout).toBe(true);
  expect(last?.stdout.split("\n")).toHaveLength(2);
  for (const line of json?.stdout.trimEnd().split("\n") ?? []) expect(JSON.parse(line)).toMatchObject({ worker_id: id });
  expect([unknown?.exitCode, unknown?.stderr]).toEqual([1, expect.stringContaining("cannot find a worker of the model nobody")]);
  const gone = await cluster.queen.command(["worker", "logs", "worker-00000000-0000-4000-8000-000000000000", "-f"]);
  expect([gone.exitCode, gone.stderr]).toEqual([1, expect.stringContaining("cannot find the worker worker-0")]);

  await using folder = await temporaryDirectory();
  const argv = [...programCommand("queen"), "logs", "fake", "-f", "--tail", "1", "--url", cluster.queen.url];
  await using following = await startProgram(argv, {
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: folder.path,
    logFile: folder.join("follow.log"),
  });
  await until(() => following.output() === last?.stdout, 60_000, "its tail");
  await appendFile(readlinkSync(`/proc/${worker.pid}/fd/1`), "one more\nhalf a line");
  await until(() => following.output().endsWith("one more\n"), 60_000, "what was added");
  following.send("SIGINT");
  expect(await following.ended(60_000)).toEqual({ code: 0, signal: null });
  expect(following.output()).toBe(`${last?.stdout}one more\nhalf a line\n`);
}, 180_000);

test("run prints the answer, says when it was cut, and names the models when there is no such one", async () => {
  const whole = await cluster.queen.command(["run", "fake", "hello"]);
  expect([whole.exitCode, whole.stderr, whole.stdout.trim().split(" ").length]).toEqual([COMMAND_EXIT.done, "", 8]);
  const cut = await cluster.queen.command(["run", "fake", "hello", "--max-tokens", "2"]);
  expect([cut.exitCode, cut.stderr.startsWith("(cut: ")]).toEqual([COMMAND_EXIT.done, true]);
  expect((await cluster.queen.command(["run", "fake", "hello", "--json"])).json).toMatchObject({ finish_reason: "stop" });
  const unknown = await cluster.queen.command(["run", "nobody", "hello"]);
  expect([unknown.exitCode, unknown.stderr]).toEqual([COMMAND_EXIT.failed, 'cannot find the model "nobody"; use one of: fake\n']);
});

test.each([
  [["sttus"], /unknown command 'sttus'.*status/s],
  [["status", "--wach"], /unknown option '--wach'/],
  [["run", "fake"], /missing required argument 'prompt'/],
  [["run", "fake", "hello", "--max-tokens", "many"], /'many' is invalid.*whole number/],
  [["ps", "--url", "localhost"], /'localhost' is invalid.*http:\/\//],
])("%j is misuse: one sentence, exit code 2, no stack", async (words, said) => {
  const result = await cluster.queen.command(words);
  expect([result.exitCode, result.stdout]).toEqual([COMMAND_EXIT.misused, ""]);
  expect(result.stderr).toMatch(said);
  expect(result.stderr).not.toMatch(/^\s+at /m);
});

test("a queen elsewhere that is not there is said in one sentence", async () => {
  const result = await cluster.queen.command(["ps", "--url", "http://127.0.0.1:9"]);
  expect([result.exitCode, result.stderr]).toEqual([
    COMMAND_EXIT.failed,
    "cannot reach the queen (GET http://127.0.0.1:9/v2/workers): ECONNREFUSED\n",
  ]);
});

test("down stops queen, hive and worker with proof, and then says that none runs", async () => {
  const identities = cluster.queen.processes().map(({ identity }) => identity);
  const [worker] = await cluster.workers();
  const down = await cluster.queen.command(["down"]);
  expect([down.exitCode, down.stdout]).toEqual([
    COMMAND_EXIT.done,
    "local: stopped (workers: 1 stopped)\neverything is stopped or kept as asked\n",
  ]);
  expect(worker === undefined || isProcessAlive(identityOf(worker))).toBe(false);
  expect(identities.filter((identity) => isProcessAlive(identity))).toEqual([]);
  expect(await cluster.queen.program.ended()).toEqual({ code: 0, signal: null });
  const none = await cluster.queen.command(["status"]);
  expect([none.exitCode, none.stderr]).toEqual([
    COMMAND_EXIT.failed,
    `cannot reach a queen: none runs on ${cluster.queen.stateDir}; start one with "queen serve"\n`,
  ]);
});

test("after kill -9 of the queen, status says that none runs and down stops what she left", async () => {
  await using other = await startTestCluster({ workers: { min: 1 } });
  const [worker] = await other.workersReady(1);
  await other.queen.stop("SIGKILL");
  const status = await other.queen.command(["status"]);
  expect([status.exitCode, status.stderr]).toEqual([
    COMMAND_EXIT.failed,
    expect.stringMatching(/^cannot reach a queen: none runs/),
  ]);
  if (worker === undefined) return expect.unreachable("one is ready");
  expect(isProcessAlive(identityOf(worker))).toBe(true);
  const down = await other.queen.command(["down"]);
  expect([down.exitCode, down.stdout]).toEqual([
    COMMAND_EXIT.done,
    expect.stringMatching(/^local: stopped \(workers: 1 stopped\)\n/),
  ]);
  expect(other.queen.processes()).toEqual([]);
}, 60_000);
