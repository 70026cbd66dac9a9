import { readFile } from "node:fs/promises";
import { isProcessAlive, signalProcess } from "@queen-and-hive/daemon";
import { fakeModel, fakeRuntime, startTestCluster, type TestQueen, until } from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, type HiveRecord, type JournalEvent, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { ask, chat, dataOf, openStream } from "./ask.ts";

describe("operators' orders to single hives", () => {
  it("keeps a hive stopped over a restart of the queen, until an operator starts it", async () => {
    await using cluster = await startTestCluster({ hives: ["one", "two"], workers: { min: 2, max: 2 } });
    const { queen } = cluster;
    const before = await cluster.workersReady(2);
    const stopped = await queen.command(["hive", "stop", "one", "--json"]);
    expect(stopped).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hives: [{ hive_id: "one", fate: "stopped" }] } });
    expect(before.filter((worker) => worker.hive_id === "one" && isAlive(worker))).toEqual([]);
    expect(await hiveOf(queen, "one")).toMatchObject({ state: "stopped", stopped_by: "operator", pid: null, workers: 0 });
    expect((await cluster.workers()).map((worker) => worker.hive_id)).not.toContain("one");

    await queen.stop("SIGKILL");
    await queen.start();
    await queen.hivesRunning(["two"]);
    expect(await hiveOf(queen, "one")).toMatchObject({ state: "stopped", stopped_by: "operator" });
    expect((await queen.hive("one").status()).state).toBe("stopped");

    const started = await queen.command(["hive", "start", "one", "--json"]);
    expect(started).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hives: [{ hive_id: "one", state: "running" }] } });
    const running = await hiveOf(queen, "one");
    expect(running).not.toHaveProperty("stopped_by");
    expect(running.devices?.length).toBeGreaterThan(0);
    const moves = (await eventsOf(queen)).filter((event) => event.hive_id === "one" && event.actor === "key:local");
    expect(moves.map(({ from, to }) => `${from} ${to}`)).toEqual(["running stopping", "stopped starting"]);
  }, 120_000);

  it("finishes, after a crash of the queen, the stop that she was ordered", async () => {
    await using cluster = await startTestCluster({ workerFlags: ["--fault", "ignore-term"], workers: { min: 1, max: 1 } });
    const { queen } = cluster;
    const [worker] = await cluster.workersReady(1);
    const answer = queen.peer.call(QUEEN_ENDPOINTS.postHiveStop, { params: { hive_id: "local" }, body: {} }).catch(() => null);
    await until(async () => (await hiveOf(queen, "local")).state === "stopping", 20_000, "the stop to begin");
    await queen.stop("SIGKILL");
    expect(await answer).toBeNull();
    await queen.start();
    const isOver = async (): Promise<boolean> => (await hiveOf(queen, "local")).state === "stopped";
    await until(isOver, 30_000, "the stop to end");
    expect(worker === undefined || isAlive(worker)).toBe(false);
    expect((await hiveOf(queen, "local")).stopped_by).toBe("operator");
  }, 120_000);

  it("leaves the workers when it is told to keep them, and a start finds them again", async () => {
    await using cluster = await startTestCluster({ workers: { min: 1, max: 1 } });
    const { queen } = cluster;
    const [worker] = await cluster.workersReady(1);
    const stopped = await queen.command(["hive", "stop", "local", "--keep-workers", "--json"]);
    expect(stopped.json).toMatchObject({ hives: [{ fate: "stopped", workers_kept: 1 }] });
    expect(worker !== undefined && isAlive(worker)).toBe(true);
    expect((await queen.command(["hive", "start", "local"])).exitCode).toBe(COMMAND_EXIT.done);
    const [again] = await cluster.workersReady(1);
    expect(again).toMatchObject({ worker_id: worker?.worker_id, pid: worker?.pid, incarnation: worker?.incarnation });
  }, 120_000);

  it("restarts a daemon and leaves its workers and their streams alone", async () => {
    await using cluster = await startTestCluster({
      workers: { min: 1, max: 1 },
      workerFlags: ["--token-rate", "10", "--tokens", "60"],
    });
    const { queen } = cluster;
    const [worker] = await cluster.workersReady(1);
    const before = await hiveOf(queen, "local");
    const stream = await openStream(queen.url, chat("fake", { stream: true }));
    await stream.begun;
    const restarted = await queen.command(["hive", "restart", "local", "--json"]);
    expect(restarted).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hives: [{ hive_id: "local", state: "running" }] } });
    const after = await hiveOf(queen, "local");
    expect(after.hive_epoch).toBe((before.hive_epoch ?? 0) + 1);
    expect(after.pid).not.toBe(before.pid);
    expect(dataOf(await stream.whole).at(-1)).toBe("[DONE]");
    const [again] = await cluster.workersReady(1);
    expect(again).toMatchObject({ worker_id: worker?.worker_id, pid: worker?.pid, incarnation: worker?.incarnation });

    const onDrained = await openStream(queen.url, chat("fake", { stream: true }));
    await onDrained.begun;
    await queen.command(["hive", "drain", "local"]);
    expect((await ask(queen.url, { body: chat("fake", { max_tokens: 1 }) })).status).toBe(503);
    const text = await onDrained.whole;
    expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
    await queen.command(["hive", "resume", "local"]);
    expect((await ask(queen.url, { body: chat("fake", { max_tokens: 1 }) })).status).toBe(200);
    expect(await cluster.workersReady(1)).toMatchObject([{ worker_id: worker?.worker_id, pid: worker?.pid }]);
  }, 120_000);

  it("finishes a restart under the next queen, whose workers live on, and says so when a stop of the queen overtakes one", async () => {
    await using cluster = await startTestCluster({ workers: { min: 1, max: 1 } });
    const { queen } = cluster;
    const [worker] = await cluster.workersReady(1);
    const before = await hiveOf(queen, "local");
    await muteDaemon(queen);
    const cutOff = queen.peer.call(QUEEN_ENDPOINTS.postHiveRestart, { params: { hive_id: "local" } }).catch(() => null);
    await until(async () => (await hiveOf(queen, "local")).state === "stopping", 20_000, "the restart to begin");
    await queen.stop("SIGKILL");
    expect(await cutOff).toBeNull();
    await queen.start();
    await queen.hivesRunning();
    const after = await hiveOf(queen, "local");
    expect(after).not.toHaveProperty("stopped_by");
    expect(after.pid).not.toBe(before.pid);
    const [again] = await cluster.workersReady(1);
    expect(again).toMatchObject({ worker_id: worker?.worker_id, pid: worker?.pid, incarnation: worker?.incarnation });

    await muteDaemon(queen);
    const restarted = queen.command(["hive", "restart", "local", "--json"]);
    await until(async () => (await hiveOf(queen, "local")).state === "stopping", 20_000, "the restart to begin");
    const down = await queen.command(["down", "--json"]);
    expect(down).toMatchObject({
      exitCode: COMMAND_EXIT.done,
      json: { clean: true, hives: [{ hive_id: "local", workers_stopped: 1, workers_kept: 0 }] },
    });
    expect(await restarted).toMatchObject({ exitCode: COMMAND_EXIT.failed, json: { error: { code: "shutting_down" } } });
    expect(queen.processes()).toEqual([]);
  }, 120_000);

  it("sends a drained hive nothing new, over a restart of the queen too, until it is resumed", async () => {
    const models = [fakeModel("fake", "fake", { workers: { per_hive: 1 } })];
    await using cluster = await startTestCluster({ hives: ["one", "two"], config: { models } });
    const { queen } = cluster;
    const workers = await cluster.workersReady(2);
    const [drained] = workers.filter(({ hive_id }) => hive_id === "one");
    if (drained === undefined) throw new Error(`cannot test draining: no worker is on "one": ${JSON.stringify(workers)}`);
    expect(await queen.command(["hive", "drain", "one", "--json"])).toMatchObject({
      exitCode: COMMAND_EXIT.done,
      json: { hives: [{ hive_id: "one", state: "draining" }] },
    });
    const served = async (): Promise<number> => (await cluster.stats(drained)).started;
    const before = await served();
    expect(await askFresh(queen.url, 12)).toEqual(new Set([200]));
    expect(await served()).toBe(before);

    await queen.stop("SIGKILL");
    await queen.start();
    await queen.hivesRunning(["two"]);
    await until(async () => (await hiveOf(queen, "one")).state === "draining", 20_000, "the drained hive to be adopted");
    expect(await askFresh(queen.url, 12)).toEqual(new Set([200]));
    expect(await served()).toBe(before);
    expect(isAlive(drained)).toBe(true);

    await queen.command(["hive", "resume", "one"]);
    expect(await hiveOf(queen, "one")).toMatchObject({ state: "running" });
    const isServing = async (): Promise<boolean> => {
      await askFresh(queen.url, 12);
      return (await served()) > before;
    };
    await until(isServing, 20_000, "the resumed hive to be given requests");
  }, 120_000);

  it("lets open streams end when their hive is removed, and stops its workers only then, each step recorded", async () => {
    const models = [fakeModel("fake", "fake", { workers: { min: 1, max: 1 } })];
    const runtimes = { fake: fakeRuntime(["--token-rate", "10", "--tokens", "150"]) };
    await using cluster = await startTestCluster({ hives: ["one", "two"], config: { models, runtimes } });
    const { queen } = cluster;
    const [worker] = await cluster.workersReady(1);
    if (worker === undefined) throw new Error("one worker is ready");
    const stream = await openStream(queen.url, chat("fake", { stream: true }));
    await stream.begun;
    const gone = queen.command(["hive", "rm", worker.hive_id, "--json"]);
    const shown = await until(
      async () => (await cluster.workers()).find(({ worker_id, state }) => worker_id === worker.worker_id && state !== "ready"),
      20_000,
      "the worker to be taken out of use",
    );
    expect([shown.state, shown.pid]).toEqual(["draining", worker.pid]);
    const inHive = async (): Promise<boolean> => (await stateInHive(queen, worker)) === "draining";
    await until(inHive, 20_000, "the hive to show it, too");
    // What comes now is served elsewhere.
    const fresh = await ask(queen.url, { body: chat("fake", { max_tokens: 1 }) });
    expect([fresh.status, fresh.text.includes(worker.worker_id)]).toEqual([200, false]);
    expect(isAlive(worker)).toBe(true);
    const text = await stream.whole;
    expect([dataOf(text).at(-1), text.includes('"error"'), text.includes(worker.worker_id)]).toEqual(["[DONE]", false, true]);
    expect((await gone).json).toMatchObject({ hives: [{ hive_id: worker.hive_id, fate: { hive_id: worker.hive_id } }] });
    expect(isAlive(worker)).toBe(false);
    const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
    expect(hives.map(({ hive_id }) => hive_id)).not.toContain(worker.hive_id);
    const events = (await eventsOf(queen)).filter(({ worker_id }) => worker_id === worker.worker_id);
    const moves = events.filter(({ kind }) => kind === "worker.state").map(({ to, cause }) => `${to} ${cause ?? "-"}`);
    expect(moves.slice(-3)).toEqual(["draining hive_removed", "stopping hive_removed", "stopped hive_removed"]);
    const steps = events.filter(({ kind }) => kind === "worker.step").map(({ details }) => `${details?.["step"]}`);
    expect(steps).toEqual(["drain", "idle", "term", "port", "gone"]);
  }, 120_000);

  it("forgets a removed hive, whose token then opens nothing, and names those that are there for one that is not", async () => {
    await using cluster = await startTestCluster({ hives: ["one", "two"] });
    const { queen } = cluster;
    const fate = await queen.peer.call(QUEEN_ENDPOINTS.deleteHive, { params: { hive_id: "one" } });
    expect(fate.fate).toBe("stopped");
    const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
    expect(hives.map((hive) => hive.hive_id)).toEqual(["two"]);
    const missing = await queen.command(["hive", "start", "one", "--json"]);
    expect(missing).toMatchObject({ exitCode: COMMAND_EXIT.failed, json: { error: { code: "hive_not_found" } } });
    expect(missing.stdout).toContain("two");
  }, 120_000);

  it("leaves no worker behind: neither with a hive whose workers were kept, nor with one that was taken out of the file", async () => {
    await using cluster = await startTestCluster({ hives: ["one", "two"], workers: { min: 1, max: 1 } });
    const { queen } = cluster;
    const [kept] = await cluster.workersReady(1);
    if (kept === undefined) return expect.unreachable("one is ready");
    await queen.command(["hive", "stop", kept.hive_id, "--keep-workers"]);
    // Nobody waits for what an operator has stopped, although the one worker that there may be lives there.
    const elsewhere = await ask(queen.url, { body: chat("fake") });
    expect([elsewhere.status, elsewhere.text.includes(kept.worker_id)]).toEqual([200, false]);
    await queen.stop("SIGKILL");
    expect(isAlive(kept)).toBe(true);
    const down = await queen.command(["down", "--json"]);
    expect(down).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { clean: true } });
    expect(down.json).toMatchObject({
      hives: expect.arrayContaining([expect.objectContaining({ hive_id: kept.hive_id, workers_stopped: 1 })]),
    });
    expect(queen.processes()).toEqual([]);

    await queen.start();
    await queen.command(["hive", "start", kept.hive_id]);
    const [worker] = await cluster.workersReady(1);
    if (worker === undefined) return expect.unreachable("one is ready");
    await queen.stop("SIGKILL");
    expect((await queen.command(["hive", "rm", worker.hive_id])).exitCode).toBe(COMMAND_EXIT.done);
    expect(isAlive(worker)).toBe(true);
    await queen.start();
    expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);
    const isForgotten = async (): Promise<boolean> =>
      (await queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives.every(({ hive_id }) => hive_id !== worker.hive_id);
    await until(isForgotten, 30_000, "the hive that left the file to be stopped");
    expect(isAlive(worker)).toBe(false);
    expect((await queen.hive(worker.hive_id).status()).state).toBe("stopped");
    expect((await cluster.workers()).map(({ hive_id }) => hive_id)).not.toContain(worker.hive_id);
  }, 240_000);

  it("prints the daemon's log, also of a hive that does not run", async () => {
    await using cluster = await startTestCluster();
    const { queen } = cluster;
    const running = await queen.command(["hive", "logs", "local", "--tail", "1", "--json"]);
    expect(running.json).toMatchObject({ hive_id: "local", lines: [expect.stringContaining("hive")] });
    await queen.command(["hive", "stop", "local"]);
    const stopped = await queen.command(["hive", "logs", "local"]);
    expect(stopped.exitCode).toBe(COMMAND_EXIT.done);
    expect(stopped.stdout.split("\n").length).toBeGreaterThan(2);
  }, 120_000);
});

async function hiveOf(queen: TestQueen, id: string): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: id } });
}

/** Ending the daemon takes its time then: nothing is done to it before it has been found mute. */
async function muteDaemon(queen: TestQueen): Promise<void> {
  const { identity } = await queen.hive("local").status();
  if (identity === null || signalProcess(identity, "SIGSTOP") !== "sent")
    throw new Error("cannot mute the daemon: it does not run");
}

/** What a worker's hive says of it; null when it has no such worker. */
async function stateInHive(queen: TestQueen, { hive_id, worker_id }: WorkerRecord): Promise<string | null> {
  const token = (await readFile(`${queen.stateDir}/secrets/hive-${hive_id}.token`, "utf8")).trim();
  const listen = queen.config.hives?.find(({ id }) => id === hive_id)?.listen;
  const answer = await fetch(`http://${listen}/v1/workers`, { headers: { authorization: `Bearer ${token}` } });
  const { workers } = (await answer.json()) as { readonly workers: readonly WorkerRecord[] };
  return workers.find((worker) => worker.worker_id === worker_id)?.state ?? null;
}

async function eventsOf(queen: TestQueen): Promise<readonly JournalEvent[]> {
  const { stdout } = await queen.command(["events", "--json"]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as JournalEvent);
}

function isAlive({
  pid,
  start_time,
  boot_id,
}: {
  pid: number | null;
  start_time: number | null;
  boot_id: string | null;
}): boolean {
  return pid !== null && start_time !== null && boot_id !== null && isProcessAlive({ pid, start_time, boot_id });
}

/** Chats that have nothing in common, so that no worker knows any of them; the statuses of their answers. */
async function askFresh(url: string, count: number): Promise<ReadonlySet<number>> {
  const one = async (): Promise<number> => {
    const messages = [{ role: "user", content: `A story about ${crypto.randomUUID()}.` }];
    return (await ask(url, { body: { model: "fake", messages } })).status;
  };
  return new Set(await Promise.all(Array.from({ length: count }, one)));
}
