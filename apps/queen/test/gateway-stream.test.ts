import { describe, expect, it } from "vitest";
import { answers, beginEvents, COMPLETION, DONE, silence, streams, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

const EVENTS = [
  token("a"),
  `: engine\n\n`,
  token("hive äöü"),
  'data: {"usage":{"prompt_tokens":3,"completion_tokens":9}}\r\n\r\n',
  DONE,
];

describe("a streamed answer", () => {
  it("reaches the client byte for byte, with our headers and without the engine's", async () => {
    await using engine = await TestEngine.start(streams(...EVENTS));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url, key: "engine-key" });
    const body = '{"model":"chat","stream":true,"seed":12345678901234567890,"__proto__":{"x":1}}';
    const answer = await queen.post("/v1/chat/completions", body, {
      headers: { authorization: "Bearer owner", "x-request-id": "from-the-client" },
    });
    expect(await answer.text()).toBe(EVENTS.join(""));
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "x-request-id": "from-the-client",
    });
    expect(answer.headers["server-timing"]).toMatch(/^queue;dur=[\d.]+, load;dur=0, upstream;dur=[\d.]+, queen;dur=[\d.]+$/);
    expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    const call = await engine.call(1);
    expect(call.body).toBe(body);
    expect(call.request.headers).toMatchObject({ authorization: "Bearer engine-key", "x-request-id": "from-the-client" });
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({
      request_id: "from-the-client",
      model: "chat",
      route: "chat.completions",
      status: 200,
      attempts: 1,
      error_kind: null,
      prompt_tokens: 3,
      completion_tokens: 9,
    });
    expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["ok"]);
  });

  it("is passed on event by event while the engine still works", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(token("first"));
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    expect(await answer.until("first")).toBe(token("first"));
    const { response } = await engine.call(1);
    // Half an event is kept back until it is whole.
    response.write(token("second").slice(0, 20));
    response.write(token("second").slice(20) + DONE.slice(0, 7));
    expect(await answer.until("second")).toBe(token("second"));
    response.end(DONE.slice(7));
    expect(await answer.text()).toBe(DONE);
  });

  it("keeps its headers back until the engine's first byte", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.flushHeaders();
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    let hasHead = false;
    const pending = queen.chat({ stream: true }).then((answer) => {
      hasHead = true;
      return answer;
    });
    const { response } = await engine.call(1);
    // Another exchange goes through in the meantime: the head is not just slow.
    engine.behaviour = streams(DONE);
    await (await queen.chat({ stream: true })).text();
    expect(hasHead).toBe(false);
    response.end(token("late") + DONE);
    expect(await (await pending).text()).toBe(token("late") + DONE);
  });

  it("is promised after commit_after, kept alive by comments, and told once what it waited for", async () => {
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start({ stream: { commitAfterMs: 30, keepAliveMs: 40 } });
    const answer = await queen.chat({ stream: true });
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toMatch(/^text\/event-stream/);
    const waits = ": keep-alive position=1 waits_for=load\n\n";
    const comments = await answer.until(waits + waits + waits);
    expect(comments.replaceAll(waits, "")).toBe("");
    queen.directory.add("chat", { url: engine.url });
    const rest = (await answer.text()).replaceAll(/: keep-alive( position=1 waits_for=load)?\n\n/g, "");
    expect(rest).toMatch(/^: queen attempts=1 queue_ms=\d+ load_ms=\d+\n\n/);
    expect(rest.slice(rest.indexOf("\n\n") + 2)).toBe(token("x") + DONE);
  });

  it("says how far it has come in the queue, and how long that takes, while it waits for a slot", async () => {
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start({ stream: { commitAfterMs: 30, keepAliveMs: 40 } });
    queen.directory.add("chat", { url: engine.url, slots: 1 });
    await (await queen.chat({ stream: true })).text();
    engine.behaviour = silence;
    const leave = new AbortController();
    const busy = queen.chat({}, { signal: leave.signal });
    busy.catch(() => undefined);
    await engine.call(2);
    engine.behaviour = streams(token("y"), DONE);
    const first = await queen.chat({ stream: true });
    const second = await queen.chat({ stream: true });
    await first.until(": keep-alive position=1 waits_for=slot estimate_ms=");
    await second.until(": keep-alive position=2 waits_for=slot estimate_ms=");
    leave.abort();
    expect(await first.text()).toContain(token("y") + DONE);
    expect(await second.text()).toContain(token("y") + DONE);
  });

  it("gets comments while the engine thinks, between events only", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(`${token("a")}data: {"half`);
    });
    await using queen = await GatewayHarness.start({ stream: { keepAliveMs: 20 } });
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    const begun = await answer.until(": keep-alive\n\n");
    expect(begun).toMatch(new RegExp(`^${literally(token("a"))}(: keep-alive\n\n)+$`));
    (await engine.call(1)).response.end(`":1}\n\n${DONE}`);
    expect((await answer.text()).replaceAll(": keep-alive\n\n", "")).toBe(`data: {"half":1}\n\n${DONE}`);
  });
});

describe("an answer that is no stream", () => {
  it("passes through whole with its status, headers and length", async () => {
    await using engine = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat();
    const text = await answer.text();
    expect(JSON.parse(text)).toEqual(COMPLETION);
    expect(answer.headers["content-length"]).toBe(String(text.length));
    expect(answer.headers["server-timing"]).toContain("upstream;dur=");
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ prompt_tokens: 5, completion_tokens: 7, status: 200 });
  });

  it("is not committed early: a late failure is still a status", async () => {
    await using engine = await TestEngine.start(() => undefined);
    await using queen = await GatewayHarness.start({ stream: { commitAfterMs: 1, firstByteMs: 80 } });
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat();
    expect(answer.status).toBe(504);
    expect((await answer.json()).error).toMatchObject({ code: "engine_timeout" });
  });

  it("goes to the route it was sent to, with an alias replaced by the model's id", async () => {
    await using engine = await TestEngine.start(answers(200, { object: "list", data: [] }));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.post("/v1/embeddings", '{"model": "gpt-4o", "input":"x"}');
    expect(answer.status).toBe(200);
    await answer.text();
    const call = await engine.call(1);
    expect(call.request.url).toBe("/v1/embeddings");
    expect(call.body).toBe('{"model": "chat", "input":"x"}');
  });

  it("larger than what is held whole is passed on as it comes", async () => {
    await using engine = await TestEngine.start(answers(200, { data: "x".repeat(500_000) }));
    await using queen = await GatewayHarness.start({ answer: { wholeBytes: 10_000, eventBytes: 1_000 } });
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat();
    expect((await answer.json())["data"]).toHaveLength(500_000);
  });

  it("with an error status passes through as the engine said it, to a stream request too", async () => {
    await using engine = await TestEngine.start(answers(400, { error: { message: "bad temperature", type: "x" } }));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    for (const stream of [false, true]) {
      const answer = await queen.chat({ stream });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toEqual({ error: { message: "bad temperature", type: "x" } });
    }
    engine.behaviour = answers(500, { detail: "boom" });
    const failed = await queen.chat();
    expect(failed.status).toBe(500);
    expect(await failed.json()).toEqual({ detail: "boom" });
    expect(engine.calls).toHaveLength(3);
  });
});

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
