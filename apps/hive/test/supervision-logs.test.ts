import { readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { type Program, programCommand, startProgram, startTestHive, until as untilWithin } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type WorkerId } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { fetchHiveLog } from "./hive-log-client.ts";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";
import {
  Cleanup,
  fastRestart,
  openTestHive,
  readIfThere,
  shellSpec,
  spawnRequest,
  startKillableHive,
  type TestHive,
  until,
  untilState,
} from "./supervision-kit.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const limits = {
  workers: 16,
  slotsPerWorker: 64,
  workerLogBytes: 2_000,
  workerLogsKept: 2,
  workerStartsKept: 3,
  logTailLines: 50,
};
const chatty = () => spawnRequest(shellSpec("i=0; while :; do i=$((i+1)); echo a line that is not short $i; sleep 0.001; done"));

test("a worker's output is rotated while it runs", async () => {
  const hive = await openTestHive(cleanup, { config: { limits, sampleEveryMs: 20 } });
  const request = chatty();
  await hive.supervision.spawn(request);
  await expectRotation(hive, request.worker_id);
});

test("one worker whose output cannot be cut off does not keep that of the others from being rotated", async () => {
  const hive = await openTestHive(cleanup, { config: { limits, sampleEveryMs: 20 } });
  const [broken, whole] = [spawnRequest(shellSpec('cp "$(command -v sleep)" ./program && exec ./program 600')), chatty()];
  const { record } = await hive.supervision.spawn(broken);
  const folder = join(hive.stateDir, "workers", broken.worker_id);
  const program = join(folder, "program");
  await until("it runs", () => readlinkSync(`/proc/${record.pid}/exe`) === program);
  // A program that runs cannot be truncated.
  rmSync(join(folder, "output.log"));
  symlinkSync(program, join(folder, "output.log"));
  await hive.supervision.spawn(whole);
  await expectRotation(hive, whole.worker_id);
});

test("so is the output of a worker that was adopted", async () => {
  const request = chatty();
  // The first daemon never rotates.
  const first = await startKillableHive(cleanup, [request], { limits, sampleEveryMs: 600_000 });
  await until("it is spawned", () => first.said().includes('"spawned"'));
  await first.kill();
  const { stateDir, stateId, config } = first;
  const hive = await openTestHive(cleanup, { stateDir, stateId, config: { ...config, sampleEveryMs: 20 } });
  expect(await hive.supervision.recover()).toMatchObject({ adopted: 1 });
  await expectRotation(hive, request.worker_id);
});

test("each start has its own file, of which the last ones are kept, and a tail reaches back over them", async () => {
  const hive = await openTestHive(cleanup, { config: { limits } });
  const script = 'echo "first line of $HIVE_CALLBACK_TOKEN" | cut -d. -f1; echo last line; exit 1';
  const request = spawnRequest(shellSpec(script, { restart: fastRestart({ restarts: 9, unready_in_a_row: 5 }) }));
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "failed", 5);
  const files = readdirSync(join(hive.stateDir, "workers", request.worker_id)).filter((name) => name.startsWith("output"));
  expect(files.sort()).toEqual(["output-3.log", "output-4.log", "output.log"]);
  expect(await hive.supervision.logTail(request.worker_id, 3)).toEqual(["last line", "first line of 5", "last line"]);
  expect(await hive.supervision.logTail(request.worker_id, 100)).toEqual(
    [3, 4, 5].flatMap((start) => [`first line of ${start}`, "last line"]),
  );
  expect(hive.exited.map(({ log_tail }) => log_tail[0])).toEqual([1, 2, 3, 4, 5].map((start) => `first line of ${start}`));
});

test("whoever follows a log gets its tail, then every line once, over a rotation, until the worker is gone", async () => {
  await using hive = await startTestHive({ config: { limits: { worker_log: "1KiB" }, sample_every: "50ms" } });
  const request = fakeWorkerOrder(queenAt("http://127.0.0.1:9"));
  const { worker_id } = await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: request });
  const output = join(hive.stateDir, "workers", worker_id, "output.log");
  await until("it is ready", () => readIfThere(output).includes("is ready"));
  const log = await fetchHiveLog(hive, worker_id, "follow=true&tail=1");
  await until("its tail came", () => log.text().includes("is ready"));
  // Somebody else of the same session writes there, such as a child of the engine.
  for (let line = 0; line < 200; line += 1) {
    await appendFile(output, `counted line ${line}\n`);
    if (line % 20 === 0) await until("it was read", () => log.text().includes(`counted line ${line}\n`));
  }
  await until("the last line came", () => log.text().includes("counted line 199\n"));
  const counted = log
    .text()
    .split("\n")
    .filter((line) => line.startsWith("counted"));
  expect(counted).toEqual(Array.from({ length: 200 }, (_, line) => `counted line ${line}`));
  expect(readIfThere(`${output}.1`)).not.toBe("");
  expect(log.text().startsWith("fake worker")).toBe(true);
  await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id } });
  await log.ended;
  await expect(fetchHiveLog(hive, worker_id, "follow=true")).rejects.toThrow("404");
}, 60_000);

/** What a program may take on a busy machine. */
const PROGRAM_MS = 60_000;

test(
  "hive worker logs --follow prints what comes until Ctrl-C, a reader that leaves, or the end of the worker or the hive",
  async () => {
    await using hive = await startTestHive();
    const queen = queenAt("http://127.0.0.1:9");
    const orders = [fakeWorkerOrder(queen), fakeWorkerOrder(queen)];
    for (const body of orders) await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body });
    const [first = "", second = ""] = orders.map(({ worker_id }) => worker_id);
    const outputOf = (id: string): string => join(hive.stateDir, "workers", id, "output.log");
    await until("both are ready", () => [first, second].every((id) => readIfThere(outputOf(id)).includes("is ready")));
    const said = (what: string, isTrue: () => boolean) => untilWithin(isTrue, PROGRAM_MS, what);
    let started = 0;
    const { env, cwd } = hive.commands.place;
    const start = (argv: readonly string[]): Promise<Program> =>
      startProgram(argv, { env, cwd, logFile: join(hive.folder, `follow-${started++}.log`) });
    const follow = (id: string, ...flags: readonly string[]): readonly string[] => {
      return [...programCommand("hive"), "worker", "logs", id, "-f", ...flags, "--state-dir", hive.stateDir];
    };
    await using interrupted = await start(follow(first, "--tail", "1"));
    await using json = await start(follow(first, "--tail", "1", "--json"));
    await using head = await start(["sh", "-c", '"$@" | head -n 1', "sh", ...follow(first, "--tail", "1")]);
    await using left = await start(follow(second));
    await using unknown = await start(follow("worker-00000000-0000-4000-8000-000000000000"));
    for (const program of [interrupted, json, left]) await said("its tail", () => program.output().includes("is ready"));
    await appendFile(outputOf(first), "one more\nhalf a li");
    await said("what was added", () => interrupted.output().endsWith("is ready\none more\n"));
    interrupted.send("SIGINT");
    expect(await interrupted.ended(PROGRAM_MS)).toEqual({ code: 0, signal: null });
    await appendFile(outputOf(first), "ne ü\n");
    await said("what was added", () => json.output().includes("ü"));
    expect((await head.ended(PROGRAM_MS)).code).toBe(0);
    await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: first } });
    expect(await json.ended(PROGRAM_MS)).toEqual({ code: 0, signal: null });
    expect(interrupted.output()).toMatch(/^.* is ready\none more\nhalf a li\n$/);
    expect(
      json
        .output()
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(
      expect.arrayContaining([
        { worker_id: first, line: "one more" },
        { worker_id: first, line: "half a line ü" },
      ]),
    );
    expect([(await unknown.ended(PROGRAM_MS)).code, unknown.output()]).toEqual([
      1,
      expect.stringContaining("cannot find worker-0"),
    ]);
    await hive.commands.kill();
    expect([(await left.ended(PROGRAM_MS)).code, left.output()]).toEqual([1, expect.stringContaining("cannot reach hive test")]);
  },
  3 * PROGRAM_MS,
);

async function expectRotation(hive: TestHive, workerId: WorkerId): Promise<void> {
  const output = join(hive.stateDir, "workers", workerId, "output.log");
  await until("it was rotated twice", () => readIfThere(`${output}.2`).length > 0);
  const before = readIfThere(output);
  await until("it goes on at the new end", () => readIfThere(output) !== before && readIfThere(output).startsWith("a line"));
  expect(readIfThere(`${output}.3`)).toBe("");
  expect((await hive.supervision.logTail(workerId, 3)).length).toBe(3);
}
