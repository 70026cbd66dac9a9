import { isProcessAlive } from "@queen-and-hive/daemon";
import { isPortFree, startTestCluster, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, test } from "vitest";
import { ask, chat, dataOf, errorOf, openStream } from "./ask.ts";
import { identityOf, livingOf } from "./identity.ts";

const ENDLESS = ["--token-rate", "20", "--tokens", "100000"];
const SHORT_DRAIN = { shutdown: { budget: "20s", drain: "1s" } };

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s in mid-answer: every client has a well-formed end and no process is left, by identity",
  async (signal) => {
    const workers = { min: 2, max: 2 };
    await using cluster = await startTestCluster({
      workers,
      workerFlags: [...ENDLESS, "--fault", "setsid-child"],
      config: SHORT_DRAIN,
    });
    const ready = await cluster.workersReady(2);
    const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
    await stream.begun;
    const whole = ask(cluster.queen.url, { body: chat("fake") });
    await until(async () => (await cluster.workers()).reduce((sum, { in_flight }) => sum + (in_flight ?? 0), 0) === 2);
    const identities = cluster.queen.processes().map(({ identity }) => identity);
    expect(identities.length).toBeGreaterThanOrEqual(6);

    const end = cluster.queen.stop(signal);
    const [last, before] = dataOf(await stream.whole).toReversed();
    expect(last).toBe("[DONE]");
    expect(errorOf(before ?? "").code).toBe("shutting_down");
    const refused = await whole;
    expect([refused.status, errorOf(refused.text).code]).toEqual([503, "shutting_down"]);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);

    expect(await end).toEqual({ code: 0, signal: null });
    expect(livingOf(identities)).toEqual([]);
    expect(cluster.queen.processes()).toEqual([]);
    for (const { port } of ready) expect(await isPortFree(port ?? 0)).toBe(true);
  },
  60_000,
);

test("a signal that a launcher passes on a second time does not hurry the stop, and what is stopped has not failed", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags: ["--token-rate", "20", "--tokens", "10"] });
  await cluster.workersReady(1);
  const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
  await stream.begun;
  for (const _of of ["the group", "the launcher"]) cluster.queen.program.send("SIGTERM");
  const text = await stream.whole;
  expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
  expect(await cluster.queen.program.ended()).toEqual({ code: 0, signal: null });
  expect(cluster.queen.program.output()).not.toMatch(/hurrying|is failed/);
}, 60_000);

test("a stop with nothing to wait for lets a short answer finish", async () => {
  await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags: ["--token-rate", "20", "--tokens", "10"] });
  await cluster.workersReady(1);
  const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
  await stream.begun;
  const end = cluster.queen.stop("SIGINT");
  const text = await stream.whole;
  expect([dataOf(text).at(-1), text.includes('"error"')]).toEqual(["[DONE]", false]);
  expect(await end).toEqual({ code: 0, signal: null });
}, 60_000);

test("requests that wait for a model to load end well-formed too", async () => {
  await using cluster = await startTestCluster({ workerFlags: ["--load-ms", "60000"], config: SHORT_DRAIN });
  const waiting = ask(cluster.queen.url, { body: chat("fake") });
  await until(async () => (await cluster.workers())[0]?.state === "loading");
  const end = cluster.queen.stop("SIGTERM");
  const answer = await waiting;
  expect([answer.status, errorOf(answer.text).code]).toEqual([503, "shutting_down"]);
  expect(await end).toEqual({ code: 0, signal: null });
  expect(cluster.queen.processes()).toEqual([]);
}, 60_000);

test("with on_queen_exit: keep, SIGTERM leaves hive and worker for the next queen, who serves with them at once", async () => {
  const config = { defaults: { hive: { on_queen_exit: "keep" as const } } };
  await using cluster = await startTestCluster({ workers: { min: 1 }, config });
  const [worker] = await cluster.workersReady(1);
  if (worker === undefined) return expect.unreachable("one is ready");
  expect(await cluster.queen.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(isProcessAlive(identityOf(worker))).toBe(true);
  await cluster.queen.start();
  await cluster.queen.hivesRunning();
  expect((await ask(cluster.queen.url, { body: chat("fake") })).status).toBe(200);
  expect(await cluster.workers()).toMatchObject([{ worker_id: worker.worker_id, pid: worker.pid, incarnation: 1 }]);
}, 60_000);

describe("a stop that would take minutes", () => {
  const SLOW_STOP = { shutdown: { budget: "240s", drain: "100s" }, stop: { term: "120s", verify: "2s" } };
  const DEAF = ["--fault", "ignore-term", ...ENDLESS];

  test("is over soon after a second Ctrl-C, whose hive kills what does not hear TERM", async () => {
    await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags: DEAF, config: SLOW_STOP });
    await cluster.workersReady(1);
    const identities = cluster.queen.processes().map(({ identity }) => identity);
    cluster.queen.program.send("SIGINT");
    const health = `http://${cluster.queen.config.hives?.[0]?.listen}${HIVE_ENDPOINTS.getHealth.path}`;
    await until(async () => (await (await fetch(health)).text()).includes('"stopping"'), 30_000, "the hive to stop");
    cluster.queen.program.send("SIGINT");
    expect(await cluster.queen.program.ended(45_000)).toEqual({ code: 0, signal: null });
    expect(livingOf(identities)).toEqual([]);
  }, 120_000);

  test("is over soon too when the second Ctrl-C comes before any hive was told to stop", async () => {
    await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags: DEAF, config: SLOW_STOP });
    await cluster.workersReady(1);
    const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
    await stream.begun;
    const identities = cluster.queen.processes().map(({ identity }) => identity);
    cluster.queen.program.send("SIGINT");
    await until(async () => (await fetch(`${cluster.queen.url}/readyz`)).status === 503, 30_000, "the queen to stop");
    cluster.queen.program.send("SIGINT");
    const text = await stream.whole;
    expect(dataOf(text).at(-1)).toBe("[DONE]");
    expect(await cluster.queen.program.ended(45_000)).toEqual({ code: 0, signal: null });
    expect(livingOf(identities)).toEqual([]);
  }, 120_000);

  test("is left at once with a third Ctrl-C, which says what may still run", async () => {
    const config = { ...SLOW_STOP, stop: { term: "1s", verify: "2s" } };
    await using cluster = await startTestCluster({ workers: { min: 1 }, workerFlags: ENDLESS, config });
    await cluster.workersReady(1);
    const hive = (await cluster.queen.hive("local").status()).identity;
    const stream = await openStream(cluster.queen.url, chat("fake", { stream: true }));
    await stream.begun;
    const { program } = cluster.queen;
    program.send("SIGINT");
    await until(async () => (await fetch(`${cluster.queen.url}/readyz`)).status === 503, 30_000, "the queen to stop");
    program.send("SIGINT");
    await until(() => program.output().includes("hurrying"), 30_000, "the queen to hurry");
    program.send("SIGINT");
    const whole = stream.whole.catch(() => "cut off");
    expect(await program.ended(30_000)).toEqual({ code: 1, signal: null });
    await whole;
    expect(program.output()).toContain(`what may still run: hives local (pid ${hive?.pid}) and their workers`);
  }, 120_000);
});
