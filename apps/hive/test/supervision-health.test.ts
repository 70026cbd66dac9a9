import { fieldOf, isProcessAlive } from "@queen-and-hive/daemon";
import { fakeWorkerCommand } from "@queen-and-hive/dev-env";
import { QhError, type WorkerSpec } from "@queen-and-hive/protocol";
import { afterEach, describe, expect, test } from "vitest";
import type { SupervisorConfig } from "../src/workers/supervisor-options.ts";
import {
  Cleanup,
  fastRestart,
  identityOf,
  openTestHive,
  shellSpec,
  spawnRequest,
  type TestHive,
  until,
  untilState,
} from "./supervision-kit.ts";
import { TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HEALTH = { everyMs: 50, timeoutMs: 1_000, hungAfterMs: 1_500, replaceAfterMs: 1_000 };
const quick: Partial<SupervisorConfig> = { health: HEALTH };

/** A fake worker that is ready by its health path. */
function fakeSpec(flags: readonly string[], parts: Partial<WorkerSpec> = {}): WorkerSpec {
  const spec = shellSpec("", { ready: { http: "/health" }, ...parts });
  return { ...spec, runtime: { ...spec.runtime, command: fakeWorkerCommand(flags, "http") } };
}

/** The states in their order; a change of the progress alone is none. */
function statesOf(hive: TestHive): readonly string[] {
  return hive.changes.map(({ record: { state } }) => state).filter((state, index, all) => state !== all[index - 1]);
}

describe("a worker that was ready and hangs", () => {
  test("is taken out of routing, and replaced when it stays so", async () => {
    const hive = await openTestHive(cleanup, { config: quick });
    const request = spawnRequest(fakeSpec([]));
    await hive.supervision.spawn(request);
    const first = await untilState(hive, request.worker_id, "ready");
    process.kill(identityOf(first).pid, "SIGSTOP");
    await untilState(hive, request.worker_id, "ready", 2);
    expect(isProcessAlive(identityOf(first))).toBe(false);
    expect(hive.exited).toMatchObject([{ cause: "hung", incarnation: 1, will_restart: true }]);
    expect(statesOf(hive)).toEqual([
      ...["starting", "loading", "ready", "hung", "stopping", "backing_off"],
      ...["starting", "loading", "ready"],
    ]);
  });

  test("is left alone for as long as its device computes", async () => {
    const devices = new TestDevices([{ id: "GPU-1", utilizationRatio: 0.9 }]);
    const hive = await openTestHive(cleanup, { config: { ...quick, sampleEveryMs: 20 }, options: { devices } });
    const request = spawnRequest(fakeSpec([], { devices: ["GPU-1"] }));
    await hive.supervision.spawn(request);
    const { pid } = identityOf(await untilState(hive, request.worker_id, "ready"));
    await until("its device was looked at", () => devices.latest !== null);
    const stoppedAtMs = Date.now();
    process.kill(pid, "SIGSTOP");
    await until("an idle one would have been found", () => Date.now() - stoppedAtMs > 3 * HEALTH.hungAfterMs);
    expect(hive.supervision.get(request.worker_id)).toMatchObject({ state: "ready", pid, incarnation: 1 });
    for (const gpu of devices.gpus) gpu.utilizationRatio = 0;
    await untilState(hive, request.worker_id, "hung");
  });

  test("is ready again when it answers before that, and the queen is told", async () => {
    const hive = await openTestHive(cleanup, { config: { health: { ...HEALTH, replaceAfterMs: 60_000 } } });
    const request = spawnRequest(fakeSpec([]));
    await hive.supervision.spawn(request);
    const { pid } = identityOf(await untilState(hive, request.worker_id, "ready"));
    process.kill(pid, "SIGSTOP");
    const hung = await untilState(hive, request.worker_id, "hung");
    process.kill(pid, "SIGCONT");
    const again = await untilState(hive, request.worker_id, "ready");
    expect(again).toMatchObject({ pid, incarnation: 1, ready_at: hung.ready_at, restarts: 0 });
    expect(hive.ready.map(({ incarnation }) => incarnation)).toEqual([1, 1]);
    expect(hive.exited).toEqual([]);
  });

  test("is ready again when it answers, also when the disk takes that only later", async () => {
    let isFull = false;
    let refused = 0;
    const workerReady = async (): Promise<void> => {
      if (!isFull) return;
      refused += 1;
      throw new QhError("storage_failed", "no space left on the device of this test");
    };
    const notices = { workerReady, workerExited: async (): Promise<void> => undefined };
    const config = { health: { ...HEALTH, replaceAfterMs: 60_000 } };
    const hive = await openTestHive(cleanup, { config, options: { notices } });
    const request = spawnRequest(fakeSpec([]));
    await hive.supervision.spawn(request);
    const { pid } = identityOf(await untilState(hive, request.worker_id, "ready"));
    process.kill(pid, "SIGSTOP");
    await untilState(hive, request.worker_id, "hung");
    isFull = true;
    process.kill(pid, "SIGCONT");
    await until("it was refused twice", () => refused >= 2);
    expect(hive.supervision.get(request.worker_id)?.state).toBe("hung");
    isFull = false;
    expect(await untilState(hive, request.worker_id, "ready")).toMatchObject({ pid, incarnation: 1 });
  });

  test("is found behind a health path that lies, once requests to it got no answer", async () => {
    const hive = await openTestHive(cleanup, { config: quick });
    const request = spawnRequest(fakeSpec(["--fault", "lying-health"]));
    await hive.supervision.spawn(request);
    await untilState(hive, request.worker_id, "ready");
    hive.supervision.doubt(request.worker_id);
    await until("it is replaced", () => hive.exited.length > 0);
    expect(hive.exited[0]).toMatchObject({ cause: "hung", will_restart: true });
  }, 60_000);

  test("is believed again after a token, when requests to it got no answer for another reason", async () => {
    const hive = await openTestHive(cleanup, { config: quick });
    const request = spawnRequest(fakeSpec([]));
    await hive.supervision.spawn(request);
    const { url } = await untilState(hive, request.worker_id, "ready");
    hive.supervision.doubt(request.worker_id);
    await until("it was asked for a token", async () => (await started(url)) === 1);
    const before = await healthRequests(url);
    await until("its health path is asked again", async () => (await healthRequests(url)) > before + 3);
    expect(await started(url)).toBe(1);
    expect(hive.supervision.get(request.worker_id)?.state).toBe("ready");
  });
});

describe("a worker whose recipe names no health path", () => {
  const server = (answer: string): WorkerSpec => {
    const serve = `require("http").createServer((question, response) => { asked += 1; ${answer} })`;
    const listen = '.listen(Number(process.argv[1]), "127.0.0.1", () => console.log("listening"))';
    const spec = shellSpec("", { ready: { log: "listening" } });
    return {
      ...spec,
      runtime: { ...spec.runtime, command: [process.execPath, "-e", `let asked = 0; ${serve}${listen}`, "{port}"] },
    };
  };

  test("is hung when it takes connections and answers nothing", async () => {
    const hive = await openTestHive(cleanup, { config: quick });
    const request = spawnRequest(server(""));
    await hive.supervision.spawn(request);
    await untilState(hive, request.worker_id, "ready", 2);
    expect(hive.exited).toMatchObject([{ cause: "hung", incarnation: 1, will_restart: true }]);
  });

  test("is well with any answer", async () => {
    // Seldom enough that its answers are no work that shows.
    const hive = await openTestHive(cleanup, { config: { health: { ...HEALTH, everyMs: 300 } } });
    const request = spawnRequest(server("response.writeHead(404).end(String(asked))"));
    await hive.supervision.spawn(request);
    const { url, pid, ready_at } = await untilState(hive, request.worker_id, "ready");
    const readyForMs = (): number => Date.now() - Date.parse(ready_at ?? "");
    await until("a hung one would have been found", () => readyForMs() > 3 * HEALTH.hungAfterMs);
    expect(Number(await (await fetch(url ?? "")).text())).toBeGreaterThan(1);
    expect(hive.supervision.get(request.worker_id)).toMatchObject({ state: "ready", incarnation: 1, pid });
    expect(statesOf(hive)).toEqual(["starting", "loading", "ready"]);
  });
});

test("a busy worker is never taken for dead, however long it does not answer", async () => {
  const hive = await openTestHive(cleanup, { config: quick });
  // One request computes for longer than a hung worker would live, and its health path is deaf meanwhile.
  const request = spawnRequest(fakeSpec(["--fault", "long-prefill=6000"]));
  await hive.supervision.spawn(request);
  const { url, pid } = await untilState(hive, request.worker_id, "ready");
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: '{"messages": []}' });
  expect(answer.status).toBe(200);
  expect(hive.supervision.get(request.worker_id)).toMatchObject({ state: "ready", pid, incarnation: 1 });
  expect(statesOf(hive)).toEqual(["starting", "loading", "ready"]);
});

describe("a worker that is to be warmed up", () => {
  const warm = { start: { silence_s: 20, total_s: 20, warmup: true } };

  test("is ready only after a first token", async () => {
    const hive = await openTestHive(cleanup);
    const request = spawnRequest(fakeSpec(["--fault", "long-prefill=300"], warm));
    await hive.supervision.spawn(request);
    await until("it is being warmed up", () => hive.supervision.get(request.worker_id)?.progress === "asked for a first token");
    const { url } = await untilState(hive, request.worker_id, "ready");
    expect(await started(url)).toBe(1);
    expect(statesOf(hive).filter((state) => state === "ready")).toHaveLength(1);
    expect(hive.ready).toHaveLength(1);
  });

  test("is given up when it says that it is ready but gives none", async () => {
    const hive = await openTestHive(cleanup);
    const start = { silence_s: 0.5, total_s: 20, warmup: true };
    const spec = fakeSpec(["--fault", "lying-health"], { start, restart: fastRestart({ unready_in_a_row: 1 }) });
    const request = spawnRequest(spec);
    await hive.supervision.spawn(request);
    const failed = await untilState(hive, request.worker_id, "failed");
    expect(failed.exit).toMatchObject({ cause: "start_silent" });
    expect(hive.ready).toEqual([]);
  });

  test("is ready when its engine has no route for a token", async () => {
    const hive = await openTestHive(cleanup);
    const request = spawnRequest(fakeSpec(["--fault", "http-500=404"], warm));
    await hive.supervision.spawn(request);
    await untilState(hive, request.worker_id, "ready");
  });
});

describe("a start without a word", () => {
  const start = { silence_s: 1, total_s: 30, warmup: false };

  test("lives because it burns CPU", async () => {
    const hive = await openTestHive(cleanup);
    const request = spawnRequest(fakeSpec(["--load-ms", "4000", "--fault", "silent-busy-load"], { start }));
    await hive.supervision.spawn(request);
    await untilState(hive, request.worker_id, "ready", 1);
    expect(hive.exited).toEqual([]);
  });

  test("lives because the memory of its device grows", async () => {
    const devices = new TestDevices([{ id: "GPU-1" }]);
    const hive = await openTestHive(cleanup, { options: { devices } });
    const request = spawnRequest(fakeSpec(["--load-ms", "4000", "--fault", "silent-load"], { start, devices: ["GPU-1"] }));
    await hive.supervision.spawn(request);
    const loading = setInterval(() => {
      for (const gpu of devices.gpus) gpu.usedBytes += 64 * 1024 * 1024;
    }, 100);
    cleanup.defer(() => clearInterval(loading));
    await untilState(hive, request.worker_id, "ready", 1);
    expect(hive.exited).toEqual([]);
  });

  test("is given up in time when its health path answers byte by byte and never to the end", async () => {
    const hive = await openTestHive(cleanup);
    const spec = fakeSpec(["--fault", "drip-health"], {
      start: { silence_s: null, total_s: 3, warmup: false },
      restart: fastRestart({ unready_in_a_row: 1 }),
    });
    const request = spawnRequest(spec);
    await hive.supervision.spawn(request);
    expect((await untilState(hive, request.worker_id, "failed")).exit).toMatchObject({ cause: "start_too_long" });
  });

  test("is given up when it does nothing", async () => {
    const hive = await openTestHive(cleanup);
    const spec = fakeSpec(["--load-ms", "60000", "--fault", "silent-load"], {
      start,
      restart: fastRestart({ unready_in_a_row: 1 }),
    });
    const request = spawnRequest(spec);
    await hive.supervision.spawn(request);
    expect((await untilState(hive, request.worker_id, "failed")).exit).toMatchObject({ cause: "start_silent" });
  });
});

test("a worker that drains keeps its process and its address, and is not started again when it ends", async () => {
  const hive = await openTestHive(cleanup, { config: quick });
  const request = spawnRequest(fakeSpec([]));
  await hive.supervision.spawn(request);
  const ready = await untilState(hive, request.worker_id, "ready");
  const draining = await hive.supervision.drain(request.worker_id);
  expect(draining).toMatchObject({ state: "draining", pid: ready.pid, url: ready.url });
  process.kill(identityOf(ready).pid, "SIGKILL");
  await until("it has left the list", () => hive.supervision.get(request.worker_id) === null);
  expect(hive.exited).toMatchObject([{ signal: "SIGKILL", will_restart: false }]);
});

async function started(url: string | null): Promise<unknown> {
  return fieldOf(await (await fetch(`${url}/stats`)).json(), "started");
}

async function healthRequests(url: string | null): Promise<number> {
  return Number(fieldOf(await (await fetch(`${url}/stats`)).json(), "health_requests"));
}
