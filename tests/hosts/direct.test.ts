import {
  fakeModel,
  fakeRuntime,
  firstOf,
  freePort,
  hiveOn,
  readyWorkers,
  startSshGround,
  startTestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { ask, chat, journalOf } from "../cluster/ask.ts";
import { daemonsOf } from "./on-ground.ts";

describe("a direct hive", () => {
  it("gives its workers keys that the queen has too, and nobody else", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    const there = firstOf(ground);
    await using queen = await startTestQueen({
      config: {
        hive_listen: `${there.gateway}:${await freePort(there.gateway)}`,
        hives: [await hiveOn(ground, there, "gpu1", { transport: "direct" })],
        models: [fakeModel("far")],
      },
    });
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    const [worker] = await readyWorkers(queen.peer, 1);
    expect(worker?.url).toContain(there.address);
    expect((await ask(worker?.url ?? "", { body: chat("far") })).status).toBe(401);
    // The listener for hives has their three routes alone, and those only for a hive's token.
    const listener = `http://${queen.config.hive_listen}`;
    expect((await ask(listener, { body: chat("far") })).status).toBe(404);
    expect((await ask(listener, { method: "GET", path: "/v2/hives" })).status).toBe(404);
    expect((await ask(listener, { path: "/v2/workers/ready", body: {} })).status).toBe(401);
  }, 120_000);

  it("gives up a worker that listens on loopback alone, with that cause", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    const there = firstOf(ground);
    const deaf = ["--host", "127.0.0.1"];
    await using queen = await startTestQueen({
      config: {
        hive_listen: `${there.gateway}:${await freePort(there.gateway)}`,
        hives: [await hiveOn(ground, there, "gpu1", { transport: "direct" })],
        runtimes: { callback: fakeRuntime(deaf), probed: fakeRuntime(deaf, "http"), said: fakeRuntime(deaf, "log") },
        models: ["callback", "probed", "said"].map((runtime) => fakeModel(runtime, runtime)),
      },
    });
    await queen.hivesRunning();
    for (const model of ["callback", "probed", "said"]) {
      const answer = ask(queen.url, { body: chat(model) });
      const exit = await until(async () => {
        const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
        return workers.find((worker) => worker.model === model)?.exit ?? null;
      }, 30_000);
      expect(exit.cause).toBe("listens_on_loopback_only");
      expect((await answer).status).toBe(503);
    }
  }, 180_000);

  it("is not ended while a firewall hides its port and SSH works, and serves again once the port is open", async ({ skip }) => {
    await using ground = await startSshGround({ hosts: [{}] });
    const there = firstOf(ground);
    if (there.kind === "in_process") return skip("a host inside this process has no network of its own to lose packets in");
    await using queen = await startTestQueen({
      config: {
        hive_listen: `${there.gateway}:${await freePort(there.gateway)}`,
        hives: [await hiveOn(ground, there, "gpu1", { transport: "direct" })],
        models: [fakeModel("far")],
        health: { interval: "1s", beat: "200ms", timeout: "1s", retry: "200ms", suspect_grace: "1s" },
      },
    });
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    const [worker] = await readyWorkers(queen.peer, 1);
    const daemons = daemonsOf(there).map(({ identity }) => identity);
    expect(daemons).toHaveLength(1);

    const port = queen.config.hives?.[0]?.listen?.split(":").at(-1) ?? "";
    const hidden = ["ipproto", "tcp", "sport", port, "blackhole"];
    expect((await there.command(["ip", "rule", "add", ...hidden])).exitCode).toBe(0);
    const hive = async () => await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "gpu1" } });
    const cut = await until(async () => {
      const now = await hive();
      return now.state === "unreachable" ? now : null;
    }, 60_000);
    expect(cut.last_error).toMatch(/answers on its own host, but not to us at http/);
    expect(daemonsOf(there).map(({ identity }) => identity)).toEqual(daemons);

    expect((await there.command(["ip", "rule", "del", ...hidden])).exitCode).toBe(0);
    await queen.hivesRunning(undefined, 60_000);
    expect(daemonsOf(there).map(({ identity }) => identity)).toEqual(daemons);
    const states = (await journalOf(queen.url)).filter(({ kind }) => kind === "hive.state").map(({ to }) => to);
    expect(states.filter((to) => to === "hung" || to === "crashed")).toEqual([]);
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    expect(await readyWorkers(queen.peer, 1)).toMatchObject([{ worker_id: worker?.worker_id, incarnation: 1 }]);
  }, 180_000);
});
