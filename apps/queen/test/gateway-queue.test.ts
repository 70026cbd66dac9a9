import { systemClock } from "@queen-and-hive/daemon";
import { describe, expect, it } from "vitest";
import { answers, beginEvents, COMPLETION, DONE, silence, streams, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

describe("the queue of a model", () => {
  it("lets 20 waiting requests go on at one change, and has asked for a worker once per arrival, never for readiness", async () => {
    await using engine = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    const pending = Array.from({ length: 20 }, () => queen.chat());
    await eventually(() => queen.gateway.waiting("chat") === 20, "20 wait");
    const { readyCalls } = queen.directory;
    // Nothing looks at the directory while nothing happens.
    await systemClock.sleep(50);
    expect(queen.directory.readyCalls).toBe(readyCalls);
    expect(queen.directory.wanted.length).toBe(20);
    queen.directory.add("chat", { url: engine.url, slots: 20 });
    const statuses = await Promise.all(pending.map(async (answer) => (await answer).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(engine.calls).toHaveLength(20);
    const text = await queen.metrics.render();
    expect(text).toContain("queen_resume_seconds_count 20");
    expect(text).toContain('queen_queue_depth{model="chat"} 0');
  });

  it("never gives a worker more requests than it has slots, and serves the rest in their order", async () => {
    let busy = 0;
    let busyMax = 0;
    await using engine = await TestEngine.start(async ({ response }) => {
      busy += 1;
      busyMax = Math.max(busyMax, busy);
      await systemClock.sleep(3);
      busy -= 1;
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url, slots: 3 });
    const answers = await Promise.all(Array.from({ length: 30 }, () => queen.chat().then((answer) => answer.text())));
    expect(answers).toHaveLength(30);
    expect(busyMax).toBe(3);
    expect(engine.connectionsMade).toBeLessThanOrEqual(3);
    expect(queen.gateway.waiting("chat")).toBe(0);
  });

  it("gives each request to the least loaded worker", async () => {
    await using one = await TestEngine.start(silence);
    await using other = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start();
    const worker = queen.directory.add("chat", { url: one.url, slots: 4 });
    queen.directory.add("chat", { url: other.url, slots: 4 });
    const gone = new AbortController();
    const pending = Array.from({ length: 6 }, (_, index) =>
      queen.chat({}, { signal: gone.signal, headers: { "x-session-id": `chat-${index}` } }).catch(() => undefined),
    );
    await eventually(() => one.calls.length === 3 && other.calls.length === 3, "three each");
    expect(queen.gateway.inFlight(worker.workerId)).toBe(3);
    gone.abort();
    await Promise.all(pending);
    await eventually(
      () => queen.gateway.inFlight(worker.workerId) === 0 && queen.gateway.activeCount() === 0,
      "all slots are free",
    );
  });

  it("sends the turns of a conversation to the worker that knows it, by x-session-id or by how it begins", async () => {
    await using one = await TestEngine.start(answers(200, COMPLETION));
    await using other = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: one.url, slots: 4 });
    queen.directory.add("chat", { url: other.url, slots: 4 });
    const turns = (name: string, count: number): object[] =>
      Array.from({ length: count }, (_, index) => ({
        role: index % 2 === 0 ? "user" : "assistant",
        content: `${name} ${index}`,
      }));
    for (const count of [1, 3, 5]) {
      for (const name of ["bees", "ants"]) await (await queen.chat({ messages: turns(name, count) })).text();
      const headers = { "x-session-id": "wasps" };
      await (await queen.chat({ messages: turns(`wasps in turn ${count}`, 1) }, { headers })).text();
    }
    const heardBy = (engine: TestEngine, name: string): number => engine.calls.filter((call) => call.body.includes(name)).length;
    const split = ["bees", "ants", "wasps"].map((name) => [heardBy(one, name), heardBy(other, name)].sort());
    expect(split).toEqual([
      [0, 3],
      [0, 3],
      [0, 3],
    ]);
    expect(Math.min(one.calls.length, other.calls.length)).toBe(3);
  });

  it("gives a worker that traffic has found failing nothing while another is trusted", async () => {
    await using one = await TestEngine.start(answers(200, COMPLETION));
    await using other = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    queen.directory.standings.set(queen.directory.add("chat", { url: one.url, slots: 4 }), "shunned");
    queen.directory.add("chat", { url: other.url, slots: 1 });
    const texts = await Promise.all(Array.from({ length: 5 }, () => queen.chat().then((answer) => answer.text())));
    expect(texts).toHaveLength(5);
    expect(one.calls).toEqual([]);
  });

  it("is bounded: one more gets 429 at once, with a Retry-After from what answers took, which fast errors do not shorten", async () => {
    await using engine = await TestEngine.start(async (call) => {
      await systemClock.sleep(1_500);
      await answers(200, COMPLETION)(call);
    });
    await using queen = await GatewayHarness.start({ queue: { maxWaiting: 4 } });
    queen.directory.add("chat", { url: engine.url, slots: 1 });
    expect((await queen.chat()).status).toBe(200);
    engine.behaviour = answers(400, { error: { message: "too long" } });
    for (let turn = 0; turn < 6; turn += 1) expect((await queen.chat()).status).toBe(400);
    engine.behaviour = streams('data: {"error":{"message":"too long","code":400}}\n\n');
    for (let turn = 0; turn < 6; turn += 1) expect((await queen.chat({ stream: true })).status).toBe(400);
    engine.behaviour = silence;
    const gone = new AbortController();
    const held = [1, 2, 3, 4, 5].map(() => queen.chat({}, { signal: gone.signal }).catch(() => undefined));
    await eventually(() => queen.gateway.waiting("chat") === 4, "four wait");
    const refused = await queen.chat({ stream: true });
    expect(refused.status).toBe(429);
    // Two of the four, after each other, 1.5 s each.
    expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(3);
    expect(Number(refused.headers["retry-after-ms"])).toBeGreaterThanOrEqual(3_000);
    expect((await refused.json()).error).toMatchObject({ code: "queue_full", type: "rate_limit_error" });
    expect(queen.gateway.waiting("chat")).toBe(4);
    gone.abort();
    await Promise.all(held);
  });

  it("lets nobody wait too long for a slot (queue_timeout) or for a load (load_timeout)", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start({ queue: { maxWaitMs: 40, loadWaitMs: 120 } });
    const loading = queen.chat();
    const late = await loading;
    expect(late.status).toBe(504);
    expect((await late.json()).error).toMatchObject({ code: "load_timeout" });
    queen.directory.add("chat", { url: engine.url, slots: 1 });
    const gone = new AbortController();
    const held = queen.chat({}, { signal: gone.signal }).catch(() => undefined);
    await engine.call(1);
    const waiting = await queen.chat();
    expect(waiting.status).toBe(504);
    expect((await waiting.json()).error).toMatchObject({ code: "queue_timeout" });
    gone.abort();
    await held;
  });

  it("tells everybody why when the model cannot be had: 503 with the cause and when to come back", async () => {
    await using queen = await GatewayHarness.start();
    const pending = [queen.chat(), queen.chat()];
    await eventually(() => queen.gateway.waiting("chat") === 2, "two wait");
    queen.directory.fail("chat", {
      cause: "cuda_oom",
      message: "cannot start chat: its device has too little memory",
      retryAfterS: 30,
    });
    for (const answer of await Promise.all(pending)) {
      expect(answer.status).toBe(503);
      expect(answer.headers["retry-after"]).toBe("30");
      expect((await answer.json()).error).toMatchObject({ code: "model_unavailable", details: { cause: "cuda_oom" } });
    }
    queen.directory.failureNow = { cause: "no_hive_available", message: "cannot start chat: no hive is up", retryAfterS: 5 };
    expect((await (await queen.chat()).json()).error).toMatchObject({ code: "no_hive_available" });
  });

  it("survives a directory that starts a worker inside of want", async () => {
    await using engine = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    queen.directory.onWant = () => {
      if (queen.directory.ready("chat").length === 0) queen.directory.add("chat", { url: engine.url });
    };
    expect((await queen.chat()).status).toBe(200);
  });
});

describe("a client that leaves", () => {
  it("leaves the queue at once", async () => {
    await using queen = await GatewayHarness.start();
    const gone = new AbortController();
    const pending = queen.chat({ stream: true }, { signal: gone.signal }).catch(() => "left");
    await eventually(() => queen.gateway.waiting("chat") === 1, "it waits");
    gone.abort();
    expect(await pending).toBe("left");
    await eventually(() => queen.gateway.waiting("chat") === 0 && queen.gateway.activeCount() === 0, "it has left");
    expect(queen.rows[0]).toMatchObject({ status: 499, error_kind: "client_closed", attempts: 0, worker_id: null });
  });

  it("cancels the engine in mid-answer, and the next in the queue gets its slot", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(token("a"));
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url, slots: 1 });
    const gone = new AbortController();
    const answer = await queen.chat({ stream: true }, { signal: gone.signal });
    await answer.until(token("a"));
    engine.behaviour = streams(DONE);
    const next = queen.chat({ stream: true });
    await eventually(() => queen.gateway.waiting("chat") === 1, "the next waits");
    answer.message.on("error", () => undefined);
    gone.abort();
    await (await engine.call(1)).aborted;
    expect(await (await next).text()).toBe(DONE);
    expect(queen.rows.map((row) => row.error_kind)).toEqual(["client_closed", null]);
    // Its leaving says nothing about the worker.
    expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["ok"]);
  });
});
