import { Deadline } from "@queen-and-hive/daemon";
import { describe, expect, it } from "vitest";
import { beginEvents, DONE, silence, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

describe("the stop of the gateway", () => {
  it("refuses new requests with 503 and Retry-After while open ones go on to their end", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(token("a"));
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    await answer.until(token("a"));
    queen.gateway.refuse(7);
    const refused = await queen.chat();
    expect(refused.status).toBe(503);
    expect(refused.headers["retry-after"]).toBe("7");
    expect((await refused.json()).error).toMatchObject({ code: "shutting_down" });
    const drained = queen.gateway.drain(Deadline.in(20_000));
    (await engine.call(1)).response.end(DONE);
    expect(await answer.text()).toBe(DONE);
    await drained;
    expect(queen.gateway.activeCount()).toBe(0);
  });

  it("ends what is still open before the deadline: streams with an error event and [DONE], others with 503", async () => {
    await using engine = await TestEngine.start((call) => {
      if (JSON.parse(call.body).stream !== true) return;
      beginEvents(call.response);
      call.response.write(token("a"));
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    const stream = await queen.chat({ stream: true });
    await stream.until(token("a"));
    const whole = queen.chat();
    await engine.call(2);
    const queued = queen.chat();
    await eventually(() => queen.gateway.waiting("chat") === 1, "one waits");
    const startedMs = performance.now();
    await queen.gateway.drain(Deadline.in(700));
    expect(performance.now() - startedMs).toBeLessThan(700);
    expect(await stream.text()).toMatch(/^data: \{"error":\{.*"code":"shutting_down".*\}\}\n\ndata: \[DONE\]\n\n$/);
    for (const answer of [await whole, await queued]) {
      expect(answer.status).toBe(503);
      expect(answer.headers["retry-after"]).toBe("5");
    }
    await (await engine.call(1)).aborted;
    await (await engine.call(2)).aborted;
  });

  it("lets nobody wait for a load that will not come", async () => {
    await using queen = await GatewayHarness.start();
    const loading = queen.chat();
    await eventually(() => queen.gateway.waiting("chat") === 1, "it waits");
    await queen.gateway.drain(Deadline.in(20_000));
    expect((await loading).status).toBe(503);
  });

  it("is not held up by a client that does not read", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      for (let count = 0; count < 40; count += 1) response.write(token("x".repeat(500_000)));
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    answer.message.on("error", () => undefined);
    await engine.call(1);
    const startedMs = performance.now();
    await queen.gateway.drain(Deadline.in(600));
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(queen.gateway.activeCount()).toBe(0);
  });

  it("close ends everything and leaves no connection to a worker", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const pending = queen.chat();
    await engine.call(1);
    await queen.gateway.close();
    expect((await pending).status).toBe(503);
    await eventually(() => engine.sockets.size === 0, "its connections are closed");
    expect(queen.directory.changes.size).toBe(0);
  });
});
