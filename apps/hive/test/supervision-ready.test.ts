import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import { newWorkerId, QhError, type WorkerId } from "@queen-and-hive/protocol";
import { afterEach, describe, expect, test } from "vitest";
import {
  Cleanup,
  fastRestart,
  identityOf,
  nodeSpec,
  openTestHive,
  readIfThere,
  shellSpec,
  spawnRequest,
  type TestHive,
  until,
  untilState,
} from "./supervision-kit.ts";
import { TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test("a worker that calls back is ready once, however often it says so", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(nodeSpec(["--callback", "3"]));
  const { record, created } = await hive.supervision.spawn(request);
  expect(created).toBe(true);
  expect(record).toMatchObject({ state: "loading", incarnation: 1, ready_at: null, restarts: 0 });
  expect(record.pid).toBeGreaterThan(0);
  const ready = await untilState(hive, request.worker_id, "ready");
  expect(ready).toMatchObject({ pid: record.pid, start_time: record.start_time, port: record.port, slots: 2 });
  const log = join(hive.stateDir, "workers", request.worker_id, "output.log");
  await until("three callbacks were answered", () => readFileSync(log, "utf8").split("\n").length > 3);
  expect(readFileSync(log, "utf8").trim().split("\n")).toEqual([
    'callback 200 {"applied":true}',
    'callback 200 {"applied":false}',
    'callback 200 {"applied":false}',
  ]);
  expect(hive.ready).toHaveLength(1);
  expect(hive.ready[0]).toMatchObject({
    worker_id: request.worker_id,
    queen_id: request.queen_id,
    incarnation: 1,
    pid: record.pid,
    backend: "test",
    url: record.url,
  });
  expect(hive.changes.map(({ record: { state } }) => state)).toEqual(["starting", "loading", "ready"]);
});

test("a worker of a runtime with a health path is ready when it answers 200, and shows its progress before", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(nodeSpec(["--callback", "0", "--load-ms", "300"], { ready: { http: "/health" } }));
  await hive.supervision.spawn(request);
  await until("it says that it loads", () => hive.supervision.get(request.worker_id)?.progress === "Loading model");
  await untilState(hive, request.worker_id, "ready");
  expect(hive.ready).toHaveLength(1);
  expect(hive.ready[0]).toMatchObject({ model_ref: "tiny", backend: "test" });
});

test("a worker of a runtime with a log line is ready when the line comes, not by an older one", async () => {
  const hive = await openTestHive(cleanup);
  const script = "echo nothing yet; while [ ! -e go ]; do sleep 0.02; done; echo listening on port; exec sleep 600";
  const request = spawnRequest(shellSpec(script, { ready: { log: "^listening on" } }));
  await hive.supervision.spawn(request);
  const dir = join(hive.stateDir, "workers", request.worker_id);
  await until("it wrote its first line", () => readIfThere(join(dir, "output.log")).includes("nothing yet"));
  expect(hive.supervision.get(request.worker_id)?.state).toBe("loading");
  writeFileSync(join(dir, "go"), "");
  await untilState(hive, request.worker_id, "ready");
});

test("a line that says ready is found in a lot of output, also when that is rotated before it was read", async () => {
  const kept = { workerLogBytes: 100_000, workerLogsKept: 2, workerStartsKept: 3, logTailLines: 50 };
  const limits = { workers: 16, slotsPerWorker: 64, ...kept };
  const hive = await openTestHive(cleanup, { config: { limits, sampleEveryMs: 20 } });
  const script = "head -c 3000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo listening on port; exec sleep 600";
  const request = spawnRequest(
    shellSpec(script, { ready: { log: "^listening on" }, restart: fastRestart({ unready_in_a_row: 1 }) }),
  );
  await hive.supervision.spawn(request);
  await untilState(hive, request.worker_id, "ready", 1);
});

test("a callback is refused without a token, with a wrong one, with another worker's and for an unknown worker", async () => {
  const hive = await openTestHive(cleanup);
  const [one, other] = [spawnRequest(tokenSpec()), spawnRequest(tokenSpec())];
  await hive.supervision.spawn(one);
  await hive.supervision.spawn(other);
  const [own, foreign] = [await tokenOf(hive, one.worker_id), await tokenOf(hive, other.worker_id)];
  expect(own).toMatch(/^1\..{20,}/);
  await expect(hive.supervision.acceptReady(callbackOf(one), null)).rejects.toMatchObject({ kind: "unauthenticated" });
  await expect(hive.supervision.acceptReady(callbackOf(one), "1.guessed")).rejects.toMatchObject({ kind: "unauthenticated" });
  await expect(hive.supervision.acceptReady(callbackOf(one), foreign)).rejects.toMatchObject({ kind: "forbidden" });
  const unknown = { ...callbackOf(one), worker_id: newWorkerId() };
  await expect(hive.supervision.acceptReady(unknown, own)).rejects.toMatchObject({ kind: "worker_not_found" });
  expect(hive.supervision.get(one.worker_id)?.state).toBe("loading");
  expect(await hive.supervision.acceptReady(callbackOf(one), own)).toEqual({ applied: true });
  expect(hive.ready).toHaveLength(1);
});

test("the token of an earlier incarnation, and of one that has ended, is stale", async () => {
  const hive = await openTestHive(cleanup);
  const spec = { ...tokenSpec(), restart: fastRestart({ unready_in_a_row: 2 }) };
  const request = spawnRequest(spec);
  await hive.supervision.spawn(request);
  const first = await tokenOf(hive, request.worker_id);
  process.kill(identityOf(await untilState(hive, request.worker_id, "loading", 1)).pid, "SIGKILL");
  const again = await untilState(hive, request.worker_id, "loading", 2);
  await expect(hive.supervision.acceptReady(callbackOf(request), first)).rejects.toMatchObject({ kind: "stale_incarnation" });
  const second = await until("the second token is there", () => tokenNow(hive, request.worker_id, "2."));
  process.kill(identityOf(again).pid, "SIGKILL");
  await untilState(hive, request.worker_id, "failed", 2);
  await expect(hive.supervision.acceptReady(callbackOf(request), second)).rejects.toMatchObject({ kind: "stale_incarnation" });
  expect(hive.ready).toHaveLength(0);
});

test("only the hash of a token is kept on disk", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(shellSpec('printf %s "$HIVE_CALLBACK_TOKEN" | wc -c >length; sleep 600'));
  await hive.supervision.spawn(request);
  const entry = readFileSync(join(hive.stateDir, "workers", request.worker_id, "ledger.json"), "utf8");
  const environment = readFileSync(`/proc/${hive.supervision.get(request.worker_id)?.pid}/environ`, "latin1");
  const token = /HIVE_CALLBACK_TOKEN=([^\0]+)/.exec(environment)?.[1] ?? "no token";
  expect(entry).not.toContain(token);
  expect(entry).not.toContain(token.split(".")[1]);
});

test("a ready that cannot be kept on disk is refused and counts when it is said again", async () => {
  let isFull = true;
  const kept: string[] = [];
  const hive = await openTestHive(cleanup, {
    options: {
      notices: {
        workerReady: async ({ worker_id }) => {
          if (isFull) throw new QhError("storage_failed", "cannot write: ENOSPC");
          kept.push(worker_id);
        },
        workerExited: async () => undefined,
      },
    },
  });
  const request = spawnRequest(tokenSpec());
  await hive.supervision.spawn(request);
  const token = await tokenOf(hive, request.worker_id);
  await expect(hive.supervision.acceptReady(callbackOf(request), token)).rejects.toMatchObject({ kind: "storage_failed" });
  expect(hive.supervision.get(request.worker_id)?.state).toBe("loading");
  isFull = false;
  expect(await hive.supervision.acceptReady(callbackOf(request), token)).toEqual({ applied: true });
  expect(kept).toEqual([request.worker_id]);
});

test("an address that is not the worker's own is not believed", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(tokenSpec());
  const { record } = await hive.supervision.spawn(request);
  const token = await tokenOf(hive, request.worker_id);
  await hive.supervision.acceptReady({ ...callbackOf(request), url: "http://198.51.100.7:80" }, token);
  expect(hive.ready[0]?.url).toBe(record.url);
  expect(hive.supervision.get(request.worker_id)?.url).toBe(record.url);
});

describe("workers that are to start on one device", () => {
  const onDevice = (device: string) =>
    shellSpec("while [ ! -e go ]; do sleep 0.02; done; echo listening; exec sleep 600", {
      ready: { log: "listening" },
      devices: [device],
    });
  const go = (hive: TestHive, workerId: WorkerId) => writeFileSync(join(hive.stateDir, "workers", workerId, "go"), "");

  test("start one after the other, and others do not wait for them", async () => {
    const hive = await openTestHive(cleanup, { options: { devices: new TestDevices([{ id: "GPU-1" }, { id: "GPU-2" }]) } });
    const [first, second, elsewhere] = [
      spawnRequest(onDevice("GPU-1")),
      spawnRequest(onDevice("GPU-1")),
      spawnRequest(onDevice("GPU-2")),
    ];
    await hive.supervision.spawn(first);
    const answer = await hive.supervision.spawn(second);
    expect(answer.record).toMatchObject({ state: "starting", pid: null, progress: expect.stringContaining(first.worker_id) });
    expect((await hive.supervision.spawn(elsewhere)).record.state).toBe("loading");
    expect(hive.supervision.get(second.worker_id)?.state).toBe("starting");
    go(hive, first.worker_id);
    await untilState(hive, first.worker_id, "ready");
    await untilState(hive, second.worker_id, "loading");
    go(hive, second.worker_id);
    await untilState(hive, second.worker_id, "ready", 1);
  });

  test("do not wait for one that ended, and can be stopped while they wait", async () => {
    const hive = await openTestHive(cleanup, { options: { devices: new TestDevices([{ id: "GPU-1" }, { id: "GPU-2" }]) } });
    const once = { restart: fastRestart({ unready_in_a_row: 1 }) };
    const [first, second, third] = [
      spawnRequest({ ...onDevice("GPU-1"), ...once }),
      spawnRequest(onDevice("GPU-1")),
      spawnRequest(onDevice("GPU-1")),
    ];
    await hive.supervision.spawn(first);
    await hive.supervision.spawn(second);
    await hive.supervision.spawn(third);
    expect(await hive.supervision.stop(second.worker_id, Deadline.in(5_000))).toMatchObject({ how: "already_gone" });
    process.kill(identityOf(await untilState(hive, first.worker_id, "loading")).pid, "SIGKILL");
    await untilState(hive, third.worker_id, "loading", 1);
    expect(hive.supervision.get(second.worker_id)).toBeNull();
  });
});

test("what a worker that says nothing of its loading does is shown all the same", async () => {
  const hive = await openTestHive(cleanup, { options: { devices: new TestDevices([{ id: "GPU-1" }, { id: "GPU-2" }]) } });
  const request = spawnRequest(shellSpec("exec sleep 600"));
  await hive.supervision.spawn(request);
  const record = await until("something is shown", () => {
    const found = hive.supervision.get(request.worker_id);
    return found?.progress === null || found?.progress === undefined ? null : found;
  });
  expect(record.progress).toMatch(/^no sign of life for \d+ s: 0 s of CPU time, \d+ MiB of memory, 0 bytes of output$/);
  expect(hive.changes.at(-1)?.record.progress).toBe(record.progress);
});

/** A worker that leaves its token where the test can read it. */
function tokenSpec() {
  return shellSpec('printf %s "$HIVE_CALLBACK_TOKEN" >token.new; mv token.new token; exec sleep 600');
}

function tokenNow(hive: TestHive, workerId: WorkerId, prefix: string): string | null {
  const token = readIfThere(join(hive.stateDir, "workers", workerId, "token"));
  return token.startsWith(prefix) ? token : null;
}

async function tokenOf(hive: TestHive, workerId: WorkerId): Promise<string> {
  return await until("the worker has written its token", () => tokenNow(hive, workerId, "1."));
}

function callbackOf({ worker_id }: { readonly worker_id: WorkerId }) {
  return { worker_id, url: "http://127.0.0.1:1", model_ref: "tiny", backend: "test", device: "cpu" };
}
