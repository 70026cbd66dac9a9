import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createMetrics, isProcessAlive, type Log, silentLog } from "@queen-and-hive/daemon";
import { afterEach, expect, test } from "vitest";
import {
  Cleanup,
  fastRestart,
  identityIn,
  identityOf,
  nodeSpec,
  openTestHive,
  shellSpec,
  spawnRequest,
  until,
  untilState,
} from "./supervision-kit.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const once = { restart: fastRestart({ unready_in_a_row: 1 }) };

test.each([
  ["an exit code", "echo last words; exit 7", { exit_code: 7, signal: null, cause: "unknown", log_tail: ["last words"] }],
  ["an exit code above the signals", "exit 250", { exit_code: 250, signal: null, cause: "unknown" }],
  ["a clean exit", "exit 0", { exit_code: 0, signal: null, cause: "finished" }],
  ["a kill", "kill -KILL $$", { exit_code: null, signal: "SIGKILL", cause: "killed" }],
  ["a crash", "kill -SEGV $$", { exit_code: null, signal: "SIGSEGV", cause: "segmentation_fault" }],
  ["a crash of a child", "sh -c 'kill -ILL $$'; exit $?", { exit_code: null, signal: "SIGILL", cause: "illegal_instruction" }],
  ["an exhausted device", "echo CUDA error: out of memory; exit 1", { exit_code: 1, signal: null, cause: "cuda_oom" }],
  ["our own worker's missing model", "exit 66", { exit_code: 66, signal: null, cause: "model_missing" }],
])("%s is reported as what it was", async (_what, script, exit) => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(shellSpec(script, once));
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "failed");
  expect(record.exit).toMatchObject(exit);
  expect(record).toMatchObject({ pid: null, start_time: null, port: null, url: null });
  expect(hive.exited).toHaveLength(1);
  expect(hive.exited[0]).toMatchObject({
    ...exit,
    worker_id: request.worker_id,
    queen_id: request.queen_id,
    incarnation: 1,
    will_restart: false,
  });
});

test.each([
  ["cannot be looked at", "ln -s output.log output.log"],
  ["cannot be read", "mkdir output.log"],
])("a worker whose output %s is watched, and its end is told, all the same", async (_what, spoil) => {
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message), child: () => log };
  const hive = await openTestHive(cleanup, { options: { log }, config: { sampleEveryMs: 20 } });
  const script = `rm output.log; ${spoil}; until [ -e go ]; do sleep 0.02; done; exit 7`;
  const request = spawnRequest(shellSpec(script, { ...once, ready: { log: "listening" } }));
  await hive.supervision.spawn(request);
  const isSaid = (): boolean => warnings.includes("cannot read a worker's output; it counts as silent");
  await until("its output cannot be read", isSaid);
  await until("it is measured", () => hive.supervision.get(request.worker_id)?.resident_bytes);
  writeFileSync(join(hive.stateDir, "workers", request.worker_id, "go"), "");
  const { exit } = await untilState(hive, request.worker_id, "failed");
  expect(exit).toMatchObject({ exit_code: 7, signal: null, log_tail: [] });
  // By each who looks at it, and not at each look.
  expect(warnings.length).toBeLessThanOrEqual(4);
});

test("a worker that makes directories of the files about its end is started again all the same", async () => {
  const hive = await openTestHive(cleanup);
  const script = "for sign in alive-*; do rm $sign; mkdir -p $sign/x exit-$(echo $sign | tr -dc 0-9)/x; done; exit 3";
  const request = spawnRequest(shellSpec(script, { restart: fastRestart({ unready_in_a_row: 2 }) }));
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "failed", 2);
  const end = { exit_code: null, signal: null, cause: "unknown" };
  expect(hive.exited).toMatchObject([
    { ...end, incarnation: 1, will_restart: true },
    { ...end, incarnation: 2, will_restart: false },
  ]);
});

test("of the output, the last 50 lines of this incarnation are reported", async () => {
  const hive = await openTestHive(cleanup);
  const script = 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo "line $i of $HIVE_PORT"; done; exit 3';
  const request = spawnRequest(shellSpec(script, { restart: fastRestart({ unready_in_a_row: 2 }) }));
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "failed", 2);
  for (const { log_tail } of hive.exited) {
    expect(log_tail).toHaveLength(50);
    expect(log_tail[0]).toMatch(/^line 11 /);
    expect(log_tail[49]).toMatch(/^line 60 /);
  }
});

test("a worker that crashes is started again with growing waits, until the breaker opens", async () => {
  const metrics = createMetrics();
  const hive = await openTestHive(cleanup, { options: { metrics } });
  const request = spawnRequest(shellSpec("exit 1", { restart: fastRestart({ unready_in_a_row: 4, restarts: 10 }) }));
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "failed", 4);
  expect(record.restarts).toBe(3);
  expect(hive.exited.map(({ incarnation, will_restart }) => [incarnation, will_restart])).toEqual([
    [1, true],
    [2, true],
    [3, true],
    [4, false],
  ]);
  const states = hive.changes.map(({ record: { state, incarnation } }) => `${state} ${incarnation}`);
  expect(states.slice(0, 6)).toEqual(["starting 1", "loading 1", "crashed 1", "backing_off 1", "starting 2", "loading 2"]);
  const text = await metrics.render();
  expect(text).toContain('hive_worker_exits_total{cause="unknown"} 4');
  expect(text).toContain('hive_worker_restarts_total{model="tiny"} 3');
});

test("restarts in a window open the breaker also for workers that become ready", async () => {
  const hive = await openTestHive(cleanup);
  const script = "echo listening; [ -e lasting ] || sleep 0.05; exit 1";
  const request = spawnRequest(
    shellSpec(script, { ready: { log: "listening" }, restart: fastRestart({ restarts: 2, unready_in_a_row: 9 }) }),
  );
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "failed", 3);
  expect(record.exit).toMatchObject({ exit_code: 1 });
});

test("an open breaker is tried again quietly, and a worker that then comes up is ready", async () => {
  const hive = await openTestHive(cleanup);
  const script = "[ -e healed ] || exit 66; echo listening; exec sleep 600";
  const request = spawnRequest(shellSpec(script, { ready: { log: "listening" }, restart: fastRestart({}, 0.05) }));
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "failed");
  await until("it was tried again", () => (hive.supervision.get(request.worker_id)?.incarnation ?? 0) >= 3);
  writeFileSync(join(hive.stateDir, "workers", request.worker_id, "healed"), "");
  const ready = await untilState(hive, request.worker_id, "ready");
  expect(ready.restarts).toBe(ready.incarnation - 1);
  expect(hive.ready).toHaveLength(1);
});

test("what a crashed worker leaves behind is gone before the next one starts", async () => {
  const hive = await openTestHive(cleanup);
  const script = "[ -e leftover ] && exec sleep 600; setsid sleep 600 & echo $! >leftover; sleep 600";
  const request = spawnRequest(shellSpec(script));
  const { record } = await hive.supervision.spawn(request);
  const leftover = await identityIn(hive, request.worker_id, "leftover");
  process.kill(identityOf(record).pid, "SIGKILL");
  await untilState(hive, request.worker_id, "loading", 2);
  expect(isProcessAlive(leftover)).toBe(false);
});

test("a start without a sign of life is given up, and so is one that takes too long", async () => {
  const hive = await openTestHive(cleanup);
  const silent = spawnRequest(shellSpec("exec sleep 600", { ...once, start: { silence_s: 0.15, total_s: 20, warmup: false } }));
  const chatty = spawnRequest(
    shellSpec("while :; do echo loading; sleep 0.02; done", { ...once, start: { silence_s: 0.3, total_s: 0.8, warmup: false } }),
  );
  await hive.supervision.spawn(silent);
  await hive.supervision.spawn(chatty);
  expect((await untilState(hive, silent.worker_id, "failed")).exit).toMatchObject({ cause: "start_silent", signal: "SIGTERM" });
  expect((await untilState(hive, chatty.worker_id, "failed")).exit).toMatchObject({ cause: "start_too_long" });
  expect(hive.exited.map(({ cause }) => cause).sort()).toEqual(["start_silent", "start_too_long"]);
});

test("the processes are measured", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(nodeSpec([]));
  await hive.supervision.spawn(request);
  const record = await until("it is measured", () => {
    const found = hive.supervision.get(request.worker_id);
    // The first look may come while the engine is still being loaded.
    return (found?.resident_bytes ?? 0) > 10_000_000 ? found : null;
  });
  expect(record.cpu_ratio).toBeGreaterThanOrEqual(0);
});
