import { connect, type Socket } from "node:net";
import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { ManualClock } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import { ContextLengths } from "../src/gateway/context-lengths.ts";
import { UpstreamFleet } from "../src/upstreams/upstream-fleet.ts";
import type { EngineConnect } from "../src/workers/worker-directory.ts";
import { HandMadeDirectory } from "./gateway-directory.ts";
import { answers, TestEngine } from "./gateway-engine.ts";

const knows = (tokens: number) => answers(200, { data: [{ id: "chat", max_model_len: tokens }] });

/** As a tunnel does it: the same port, at the other end. */
const through =
  (farHost: string): EngineConnect =>
  ({ port }) =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect(port, farHost);
      socket.once("connect", () => resolve(socket)).once("error", reject);
    });

describe("an engine that is reached through a tunnel", () => {
  it("is asked for its context length there, and not whoever has its port here", async () => {
    await using here = await TestEngine.start(knows(1_000));
    await using there = await TestEngine.start(knows(32_000), { host: "127.0.0.2", port: Number(new URL(here.url).port) });
    const directory = new HandMadeDirectory();
    const lengths = new ContextLengths(directory, new ManualClock());
    directory.add("chat", { url: here.url, connect: through("127.0.0.2") });
    expect(await lengths.of("chat")).toBe(32_000);
    expect([here.calls.length, there.calls.length]).toEqual([0, 1]);
  });
});

describe("an upstream that has failed many requests in a row", () => {
  it("is news for its model, under our name, when its pause is over", async () => {
    const clock = new ManualClock();
    const told: string[] = [];
    const shared = { url: "http://127.0.0.1:1", basePath: "/v1", key: null, bestEffort: true, overflow: false, slots: 1 };
    using upstreams = new UpstreamFleet({
      upstreams: [{ ...shared, id: "mac", models: { small: "qwen3:8b", large: "qwen3:70b" } }],
      health: { intervalMs: 60_000, retryMs: 60_000, timeoutMs: 1_000, failures: 2 },
      changed: (modelId) => void told.push(modelId),
      record: () => undefined,
      metrics: createMetrics(),
      clock,
      log: silentLog,
    });
    const directory = upstreams.joinedTo(new HandMadeDirectory(), []);
    const [worker] = directory.ready("small");
    if (worker === undefined) throw new Error("the upstream is not ready");
    directory.report(worker, "server_error");
    directory.report(worker, "server_error");
    expect(directory.standing(worker)).toBe("shunned");
    await clock.advance(999);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect([told, directory.standing(worker)]).toEqual([["small"], "on_trial"]);
  });
});
