import { describe, expect, it } from "vitest";
import { answers, beginEvents, COMPLETION, type EngineBehaviour, streams, TestEngine } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

const event = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
const started = event("message_start", { message: { usage: { input_tokens: 11, output_tokens: 1 } } });
const stopped = event("message_delta", { usage: { output_tokens: 7 } }) + event("message_stop", {});
const completed = event("response.completed", { response: { usage: { input_tokens: 4, output_tokens: 9 } } });
const cut: EngineBehaviour = ({ response }) => {
  beginEvents(response);
  response.write(started);
  setImmediate(() => response.socket?.destroy());
};

describe("the routes", () => {
  it.each(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/rerank"])(
    "%s reaches the engine under its own path, unknown fields kept and the model under the engine's name",
    async (path) => {
      await using engine = await TestEngine.start(answers(200, COMPLETION));
      await using queen = await GatewayHarness.start();
      queen.directory.add("chat", { url: engine.url, model: "qwen3:8b" });
      const answer = await queen.post(path, '{"model":"gpt-4o","unheard_of":[1e400,{"model":"gpt-4o"}]}');
      expect(await answer.json()).toEqual(COMPLETION);
      const call = await engine.call(1);
      expect(call.request.url).toBe(path);
      expect(call.body).toBe('{"model":"qwen3:8b","unheard_of":[1e400,{"model":"gpt-4o"}]}');
    },
  );

  it("refuse a chat on an embedding model with a 400 that says so, and serve what the model is for", async () => {
    await using engine = await TestEngine.start(answers(200, { object: "list", data: [] }));
    await using queen = await GatewayHarness.start();
    queen.directory.add("vectors", { url: engine.url });
    const refused = await queen.chat({ model: "vectors" });
    expect(refused.status).toBe(400);
    expect(refused.headers["x-should-retry"]).toBe("false");
    expect((await refused.json()).error).toMatchObject({
      code: "task_mismatch",
      param: "model",
      message: 'cannot use the model "vectors" for /v1/chat/completions: it is for the task embedding, this route needs chat',
    });
    expect((await queen.post("/v1/embeddings", '{"model":"vectors","input":"a"}')).status).toBe(200);
  });
});

describe("a stream of Anthropic's messages", () => {
  it("ends with message_stop, its usage counted, and nothing of ours behind it", async () => {
    await using engine = await TestEngine.start(streams(started, stopped, "data: [DONE]\n\n"));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.post("/v1/messages", '{"model":"chat","stream":true}');
    expect(await answer.text()).toBe(started + stopped);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ route: "messages", prompt_tokens: 11, completion_tokens: 7, error_kind: null });
  });

  it("that breaks ends with Anthropic's error event", async () => {
    await using engine = await TestEngine.start(cut);
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const text = await (await queen.post("/v1/messages", '{"model":"chat","stream":true}')).text();
    expect(text.startsWith(`${started}event: error\ndata: {"type":"error","error":{"message":"cannot finish`)).toBe(true);
    expect(text).not.toContain("[DONE]");
  });
});

describe("a stream of OpenAI's responses", () => {
  it("ends with response.completed, its usage counted", async () => {
    await using engine = await TestEngine.start(streams(completed));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.post("/v1/responses", '{"model":"chat","stream":true}');
    expect(await answer.text()).toBe(completed);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ route: "responses", prompt_tokens: 4, completion_tokens: 9, error_kind: null });
    expect(await queen.metrics.render()).toContain('queen_tokens_total{model="chat",kind="completion"} 9');
  });

  it("that breaks ends with an error event of its own form", async () => {
    await using engine = await TestEngine.start(cut);
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const text = await (await queen.post("/v1/responses", '{"model":"chat","stream":true}')).text();
    expect(text).toMatch(/event: error\ndata: \{"type":"error","code":"engine_failed","message":"cannot finish .*\}\n\n$/);
  });
});

describe("a route that a runtime lists", () => {
  it("serves the models of that runtime, and of no other", async () => {
    await using engine = await TestEngine.start(answers(200, { tokens: [1, 2] }));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.post("/tokenize", '{"model":"gpt-4o","content":"a hive"}');
    expect([answer.status, await answer.json()]).toEqual([200, { tokens: [1, 2] }]);
    const call = await engine.call(1);
    expect([call.request.url, call.body]).toEqual(["/tokenize", '{"model":"chat","content":"a hive"}']);
    const other = await queen.post("/tokenize", '{"model":"vectors","content":"a hive"}');
    expect([other.status, await other.json()]).toMatchObject([404, { error: { code: "route_not_found", param: "model" } }]);
    expect((await queen.post("/v1/load_lora_adapter", '{"model":"chat"}')).status).toBe(404);
    await eventually(() => queen.rows.length === 2, "the rows are recorded");
    expect(queen.rows[0]).toMatchObject({ route: "/tokenize", status: 200 });
  });

  it("may answer with anything, and end a stream without a last word", async () => {
    const stream = 'data: {"content":"a","stop":true}\n\n';
    await using engine = await TestEngine.start(streams(stream));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    expect(await (await queen.post("/tokenize", '{"model":"chat","stream":true}')).text()).toBe(stream);
    engine.behaviour = ({ response }) =>
      void response.writeHead(200, { "content-type": "audio/mpeg" }).end(Buffer.from([0, 255]));
    const audio = await queen.post("/tokenize", '{"model":"chat"}');
    expect([audio.headers["content-type"], await audio.text()]).toEqual(["audio/mpeg", "\u0000\ufffd"]);
  });

  it("takes a form with a file, of which only the model's name is changed", async () => {
    const form = (model: string) =>
      [
        "--limit",
        'Content-Disposition: form-data; name="file"; filename="a.wav"',
        "Content-Type: audio/wav",
        "",
        '\u0000\r\nname="model"\r\n\r\nnot this one',
        "--limit",
        'content-disposition: form-data; name="model"',
        "",
        model,
        "--limit--",
        "",
      ].join("\r\n");
    await using engine = await TestEngine.start(answers(200, { text: "a hive" }));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url, model: "whisper-1-large" });
    const headers = { "content-type": "multipart/form-data; boundary=limit" };
    const answer = await queen.post("/v1/audio/transcriptions", form("gpt-4o"), { headers });
    expect(await answer.json()).toEqual({ text: "a hive" });
    const call = await engine.call(1);
    expect(call.body).toBe(form("whisper-1-large"));
    expect(call.request.headers).toMatchObject({ ...headers, "content-length": String(form("whisper-1-large").length) });
    const refusals = [
      [form("nobody"), 404, "model_not_found"],
      ["no form at all", 400, "model_required"],
    ] as const;
    for (const [wrong, status, code] of refusals) {
      const refused = await queen.post("/v1/audio/transcriptions", wrong, { headers });
      expect([refused.status, (await refused.json()).error["code"]]).toEqual([status, code]);
    }
    expect((await queen.post("/v1/chat/completions", form("chat"), { headers })).status).toBe(415);
  });
});
