import { type RunningFakeWorker, startFakeWorker, startTestCluster, until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { silence, TestEngine } from "./gateway-engine.ts";
import { GatewayHarness } from "./gateway-harness.ts";

/** An engine that would go on for hours. */
const ENDLESS = ["--token-rate", "50", "--tokens", "1000000"];
/** The engine has to stop within this time. */
const STOPS_WITHIN_MS = 1_000;

/** Waits until the engine itself has counted cancelled requests; says how long after `sinceMs` that was. */
async function cancelledAfterMs(engine: RunningFakeWorker, count: number, sinceMs: number): Promise<number> {
  await until(async () => (await engine.stats()).cancelled === count, 20_000, `${count} cancelled requests`);
  return performance.now() - sinceMs;
}

async function start() {
  const engine = await startFakeWorker(ENDLESS);
  const queen = await GatewayHarness.start();
  queen.directory.add("chat", { url: engine.url });
  return { engine, queen };
}

describe("the engine stops", () => {
  it.each([true, false])("within a second when the client leaves (stream: %s)", async (stream) => {
    const { engine, queen } = await start();
    await using _engine = engine;
    await using _queen = queen;
    const leave = new AbortController();
    const answer = queen.chat({ stream }, { signal: leave.signal });
    answer.catch(() => undefined);
    await until(async () => (await engine.stats()).open_now === 1, 20_000, "the engine works");
    if (stream) (await answer).message.on("error", () => undefined);
    const leftAtMs = performance.now();
    leave.abort();
    expect(await cancelledAfterMs(engine, 1, leftAtMs)).toBeLessThan(STOPS_WITHIN_MS);
    expect(await engine.stats()).toMatchObject({ open_now: 0, finished: 0 });
    await until(() => queen.rows.length === 1, 20_000, "the row");
    expect(queen.rows[0]).toMatchObject({ error_kind: "client_closed" });
  });

  it("within a second when x-request-timeout has passed: a stream ends well-formed, anything else with a 504", async () => {
    const { engine, queen } = await start();
    await using _engine = engine;
    await using _queen = queen;
    const streamed = await queen.chat({ stream: true }, { headers: { "x-request-timeout": "3" } });
    expect(await streamed.text()).toMatch(
      /"error":\{"message":"cannot finish the answer within 3s, what x-request-timeout allows".*\n\ndata: \[DONE\]\n\n$/,
    );
    expect(await cancelledAfterMs(engine, 1, performance.now())).toBeLessThan(STOPS_WITHIN_MS);
    const whole = await queen.chat({}, { headers: { "x-request-timeout": "0.5" } });
    expect(whole.status).toBe(504);
    expect(whole.headers["x-should-retry"]).toBe("false");
    expect(whole.headers["server-timing"]).toMatch(/^queue;dur=/);
    expect((await whole.json()).error).toMatchObject({ code: "deadline_exceeded" });
    expect(await cancelledAfterMs(engine, 2, performance.now())).toBeLessThan(STOPS_WITHIN_MS);
    expect((await engine.stats()).last[0]?.headers).not.toHaveProperty("x-request-timeout");
  });

  it.each(["soon", "0", "-1", ""])("and %j as x-request-timeout is refused", async (timeout) => {
    await using queen = await GatewayHarness.start();
    const answer = await queen.chat({}, { headers: { "x-request-timeout": timeout } });
    expect(answer.status).toBe(400);
    expect((await answer.json()).error).toMatchObject({ code: "invalid_header", param: "x-request-timeout" });
  });

  it("when an operator cancels the request, which was in the list until then", async () => {
    await using cluster = await startTestCluster({ workerFlags: ENDLESS });
    const { queen } = cluster;
    const body = JSON.stringify({ model: "default", stream: true, messages: [{ role: "user", content: "go on" }] });
    const answer = fetch(`${queen.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": "the-long-one" },
      body,
    });
    const streaming = async () => {
      const { requests } = await queen.peer.call(QUEEN_ENDPOINTS.listRequests);
      return requests.find((request) => request.state === "streaming") ?? null;
    };
    const [worker] = await cluster.workersReady(1);
    if (worker === undefined) throw new Error("a worker is ready");
    expect(await until(streaming, 20_000, "the request streams")).toMatchObject({
      request_id: "the-long-one",
      route: "chat.completions",
      model: "fake",
      client: "local",
      worker_id: worker.worker_id,
      hive_id: "local",
      attempts: 1,
    });
    const cancelled = await queen.peer.call(QUEEN_ENDPOINTS.deleteRequest, { params: { request_id: "the-long-one" } });
    const cancelledAtMs = performance.now();
    expect(cancelled).toEqual({ request_id: "the-long-one", cancelled: 1 });
    await until(async () => (await cluster.stats(worker)).cancelled === 1, 20_000, "the engine has stopped");
    expect(performance.now() - cancelledAtMs).toBeLessThan(STOPS_WITHIN_MS);
    const text = await (await answer).text();
    expect(text).toMatch(/data: \{"error":\{.*"code":"request_cancelled".*\}\}\n\ndata: \[DONE\]\n\n$/);
    expect(await queen.peer.call(QUEEN_ENDPOINTS.listRequests)).toEqual({ requests: [] });
    const again = queen.peer.call(QUEEN_ENDPOINTS.deleteRequest, { params: { request_id: "the-long-one" } });
    await expect(again).rejects.toMatchObject({ kind: "request_not_found" });
    const events = await queen.command(["events", "--json"]);
    expect(events.stdout).toContain('"kind":"request.cancelled","actor":"key:local","request_id":"the-long-one"');
  });
});

describe("the list of open requests", () => {
  it("tells what each waits for, and one that is cancelled in the queue gets a status that nobody tries again", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start();
    const stateOf = (id: string) => queen.gateway.requests().find((request) => request.request_id === id)?.state;
    const ask = (id: string) => queen.chat({}, { headers: { "x-request-id": id } });
    const first = ask("first");
    await until(() => stateOf("first") === "waiting_for_worker", 20_000, "the first waits for a worker");
    queen.directory.add("chat", { url: engine.url, slots: 1 });
    await until(() => stateOf("first") === "placed", 20_000, "the first is placed");
    const second = ask("second");
    await until(() => stateOf("second") === "queued", 20_000, "the second waits for a slot");
    expect(queen.gateway.requests().map((request) => request.request_id)).toEqual(["first", "second"]);
    expect(queen.gateway.cancel("nobody")).toBe(0);
    for (const [id, answer] of [
      ["second", second],
      ["first", first],
    ] as const) {
      expect(queen.gateway.cancel(id)).toBe(1);
      const { status, headers } = await answer;
      expect([status, headers["x-should-retry"]]).toEqual([503, "false"]);
      expect((await (await answer).json()).error).toMatchObject({ code: "request_cancelled", request_id: id });
    }
    await (await engine.call(1)).aborted;
    expect(engine.calls.length).toBe(1);
  });
});
