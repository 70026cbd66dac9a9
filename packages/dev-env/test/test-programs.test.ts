import { isProcessAlive } from "@queen-and-hive/daemon";
import { HIVE_ENDPOINTS, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { processesOf, startTestCluster, startTestHive, startTestQueen, until } from "../src/index.ts";

describe("a test hive", () => {
  it("runs the real program on ports and state of its own, and is gone after its scope", async () => {
    const left = await (async () => {
      await using hive = await startTestHive({ hiveId: "one" });
      expect(hive.identity).toMatchObject({ hive_id: "one", already_running: false, url: hive.url });
      expect(await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).toEqual({ workers: [] });
      expect(hive.processes().map(({ identity }) => identity.pid)).toContain(hive.identity.pid);
      return hive.folder;
    })();
    expect(processesOf({ folder: left })).toEqual([]);
  });

  it("can be killed and started again in the same place", async () => {
    await using hive = await startTestHive();
    const first = hive.identity;
    expect(await hive.commands.kill()).toBe(true);
    expect([isProcessAlive(first), (await hive.commands.status()).state]).toEqual([false, "stopped"]);
    await hive.start();
    expect(hive.identity).toMatchObject({ url: first.url, hive_epoch: first.hive_epoch + 1 });
  });
});

describe("a test queen", () => {
  it("serves, runs commands with her configuration, and ends by a signal with nothing left", async () => {
    await using queen = await startTestQueen();
    await queen.hivesRunning();
    expect((await queen.peer.call(QUEEN_ENDPOINTS.getLivez)).status).toMatch(/ok|starting/);
    expect(await queen.command(["status", "--json"])).toMatchObject({ exitCode: 0 });
    expect(await queen.stop("SIGINT")).toEqual({ code: 0, signal: null });
    expect(queen.processes()).toEqual([]);
  });

  it("leaves nothing behind in the test's name, even when she was killed", async () => {
    const folder = await (async () => {
      await using queen = await startTestQueen();
      await queen.hivesRunning();
      expect((await queen.stop("SIGKILL")).signal).toBe("SIGKILL");
      expect(queen.processes().length).toBeGreaterThan(0);
      return queen.folder;
    })();
    expect(processesOf({ folder })).toEqual([]);
  });
});

describe("a test cluster", () => {
  it("answers from a fake worker and shows what it was asked", async () => {
    await using cluster = await startTestCluster({ workers: { min: 1 } });
    const [worker] = await cluster.workersReady(1);
    const body = JSON.stringify({ model: "default", messages: [{ role: "user", content: "hi" }] });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${cluster.queen.url}/v1/chat/completions`, { method: "POST", headers, body });
    expect([response.status, await response.json()]).toMatchObject([200, { choices: [{ message: { role: "assistant" } }] }]);
    if (worker === undefined) expect.unreachable("one is ready");
    else expect(await cluster.stats(worker)).toMatchObject({ finished: 1, worker_id: worker.worker_id });
  });

  it("counts what passes between the queen and her hive, in both directions", async () => {
    await using cluster = await startTestCluster({ capture: true, workers: { min: 1 } });
    await cluster.workersReady(1);
    const { toHive, toQueen } = cluster.captures;
    expect(toHive.count(({ method, url }) => method === "POST" && url === "/v1/workers")).toBe(1);
    await until(() => toQueen.count(({ url }) => url === "/v2/workers/ready") === 1);
  });
});
