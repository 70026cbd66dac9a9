import { describe, expect, it } from "vitest";
import { answers, COMPLETION, silence, TestEngine } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

describe("what a client may send", () => {
  it.each([
    ['{"model":"chat"', 400, "malformed_json"],
    ["", 400, "malformed_json"],
    ["[1,2]", 400, "invalid_body"],
    ["null", 400, "invalid_body"],
    ['{"messages":[]}', 400, "model_required"],
    ['{"model":7}', 400, "model_required"],
    ['{"model":"nobody"}', 404, "model_not_found"],
  ])("%j is answered %i %s, in the one shape, without asking for a worker", async (body, status, code) => {
    await using queen = await GatewayHarness.start();
    const answer = await queen.post("/v1/chat/completions", body);
    expect(answer.status).toBe(status);
    const { error } = await answer.json();
    expect(error).toMatchObject({ code, type: "invalid_request_error", request_id: answer.headers["x-request-id"] });
    expect(answer.headers["x-should-retry"]).toBe("false");
    expect(queen.directory.wanted).toEqual([]);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ status, error_kind: code, model: null, attempts: 0 });
  });

  it("an unknown model names those that this key may use, and a model of others is unknown", async () => {
    await using queen = await GatewayHarness.start();
    const headers = { authorization: "Bearer guest" };
    const unknown = await queen.post("/v1/completions", '{"model":"nobody"}', { headers });
    expect((await unknown.json()).error["message"]).toMatch(/use one of: chat$/);
    const others = await queen.post("/v1/completions", '{"model":"secret"}', { headers });
    expect(others.status).toBe(404);
  });

  it("does not let names of models that do not exist become labels of metrics", async () => {
    await using queen = await GatewayHarness.start();
    await queen.chat({ model: "made-up-by-a-client" });
    const text = await queen.metrics.render();
    expect(text).not.toContain("made-up-by-a-client");
    expect(text).toContain('queen_requests_total{model="unknown",route="chat.completions",status="404"} 1');
    expect(text).toContain('queen_errors_total{kind="model_not_found"} 1');
    expect(text).toContain("queen_active_requests 0");
  });

  it("a body over the limit is 413, announced or not", async () => {
    await using queen = await GatewayHarness.start({ bodyBytes: 1_000 });
    const large = JSON.stringify({ model: "chat", prompt: "x".repeat(20_000) });
    for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
      const answer = await queen.post("/v1/completions", large, { headers });
      expect(answer.status).toBe(413);
      expect((await answer.json()).error).toMatchObject({ code: "body_too_large" });
    }
  });

  it("bodies that together are more than allowed get a 429, and room again once an earlier request has ended", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start({ bodiesBytes: 10_000 });
    queen.directory.add("chat", { url: engine.url });
    const body = JSON.stringify({ model: "chat", prompt: "x".repeat(6_000) });
    const leave = new AbortController();
    const first = queen.post("/v1/completions", body, { signal: leave.signal });
    first.catch(() => undefined);
    await engine.call(1);
    const refused = await queen.post("/v1/completions", body);
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "1"]);
    expect((await refused.json()).error).toMatchObject({ code: "queue_full", type: "rate_limit_error" });
    leave.abort();
    await eventually(() => queen.gateway.activeCount() === 0, "the first has ended");
    engine.behaviour = answers(200, COMPLETION);
    expect((await queen.post("/v1/completions", body)).status).toBe(200);
  });

  it("a body that does not call itself JSON is refused, so that no web page can send one unasked", async () => {
    await using queen = await GatewayHarness.start();
    const answer = await queen.post("/v1/completions", '{"model":"chat"}', { headers: { "content-type": "text/plain" } });
    expect(answer.status).toBe(415);
  });

  it("a body at the limit reaches the engine unchanged", async () => {
    await using engine = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start({ bodyBytes: 1_000_000 });
    queen.directory.add("chat", { url: engine.url });
    const frame = JSON.stringify({ model: "chat", prompt: "" }).length;
    const body = JSON.stringify({ model: "chat", prompt: "ä".repeat(400_000) + "x".repeat(200_000 - frame) });
    expect(Buffer.byteLength(body)).toBe(1_000_000);
    expect((await queen.post("/v1/completions", body)).status).toBe(200);
    expect((await engine.call(1)).body).toBe(body);
  });
});
