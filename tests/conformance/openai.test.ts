import { until } from "@queen-and-hive/dev-env";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENT_KEY, countingFetch, type Served, startServed } from "./served.ts";

const messages = [{ role: "user" as const, content: "What is a hive?" }];
const WORDS = "the bees of this hive carry words from";
const weather = {
  type: "function" as const,
  function: {
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] },
  },
};

let served: Served;
let client: OpenAI;

beforeAll(async () => {
  served = await startServed();
  client = new OpenAI({ baseURL: served.baseURL, apiKey: CLIENT_KEY, maxRetries: 0 });
});
afterAll(async () => await served?.[Symbol.asyncDispose]());

describe("the official openai client", () => {
  it("chats by an alias, with usage", async () => {
    const answer = await client.chat.completions.create({ model: "gpt-4o", messages });
    expect(answer.choices[0]?.message.content).toBe(WORDS);
    expect(answer.usage?.completion_tokens).toBe(8);
    expect(answer._request_id).toMatch(/^req-/);
  });

  it("streams, with usage at the end", async () => {
    const stream = await client.chat.completions.create({
      model: "chat",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    expect([text, tokens]).toEqual([WORDS, 8]);
  });

  it("has a tool called, streamed and whole, and goes on with its result", async () => {
    const whole = await client.chat.completions.create({ model: "chat", messages, tools: [weather] });
    const called = whole.choices[0]?.message;
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(called?.tool_calls).toMatchObject([{ function: { name: "weather", arguments: '{"city":"bees","days":7}' } }]);
    const runner = client.chat.completions.stream({ model: "chat", messages, tools: [weather] });
    expect((await runner.finalMessage()).tool_calls).toMatchObject([{ function: { arguments: '{"city":"bees","days":7}' } }]);
    if (called === undefined) throw new Error("a tool was called");
    const result = { role: "tool" as const, tool_call_id: "call_fake", content: "sunny" };
    const answer = await client.chat.completions.create({
      model: "chat",
      messages: [...messages, called, result],
      tools: [weather],
    });
    expect(answer.choices[0]?.message.content).toBe(WORDS);
  });

  it("gets JSON by a schema", async () => {
    const schema = { type: "object", properties: { queen: { type: "string" }, age: { type: "integer" } } };
    const answer = await client.chat.completions.parse({
      model: "chat",
      messages,
      response_format: { type: "json_schema", json_schema: { name: "hive", strict: true, schema } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({ queen: "bees", age: 7 });
  });

  it("completes text, embeds as base64 and as numbers, and lists models", async () => {
    expect((await client.completions.create({ model: "chat", prompt: "a hive" })).choices[0]?.text).toBe(WORDS);
    const floats = await client.embeddings.create({
      model: "text-embedding-3-small",
      input: ["a", "b"],
      encoding_format: "float",
    });
    const base64 = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
    expect(base64.data[1]?.embedding).toHaveLength(8);
    expect(base64.data[1]?.embedding[0]).toBeCloseTo(floats.data[1]?.embedding[0] ?? Number.NaN, 6);
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(["chat", "endless", "failing", "vectors"]);
    expect(await client.models.retrieve("gpt-4o")).toMatchObject({
      id: "chat",
      status: "loaded",
      context_length: 4_096,
      where: ["local"],
    });
  });

  it("gets responses, whole and streamed", async () => {
    expect((await client.responses.create({ model: "chat", input: "What is a hive?" })).output_text).toBe(WORDS);
    const stream = client.responses.stream({ model: "chat", input: "What is a hive?" });
    const final = await stream.finalResponse();
    expect([final.output_text, final.usage?.output_tokens]).toEqual([WORDS, 8]);
  });

  it("aborts, and the engine stops", async () => {
    const abort = new AbortController();
    const stream = await client.chat.completions.create({ model: "endless", messages, stream: true }, { signal: abort.signal });
    let chunks = 0;
    for await (const _ of stream) {
      chunks += 1;
      if (chunks === 5) abort.abort();
    }
    expect(chunks).toBeGreaterThanOrEqual(5);
    await until(async () => (await served.stats("endless")).cancelled === 1, 20_000, "the engine has stopped");
    const slow = client.chat.completions.create({ model: "endless", messages }, { timeout: 300 });
    await expect(slow).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    await until(async () => (await served.stats("endless")).cancelled === 2, 20_000, "the engine has stopped");
  });

  it("sees refusals as its typed errors and tries them once", async () => {
    const { fetch, sent } = countingFetch();
    const patient = new OpenAI({ baseURL: served.baseURL, apiKey: CLIENT_KEY, maxRetries: 2, fetch });
    await expect(patient.chat.completions.create({ model: "nobody", messages })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    expect(sent()).toBe(1);
    const mismatch = patient.chat.completions.create({ model: "vectors", messages });
    await expect(mismatch).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(mismatch).rejects.toMatchObject({ code: "task_mismatch", param: "model", type: "invalid_request_error" });
    expect(sent()).toBe(2);
    const late = patient.chat.completions.create({ model: "endless", messages }, { headers: { "x-request-timeout": "0.2" } });
    await expect(late).rejects.toMatchObject({ status: 504, code: "deadline_exceeded" });
    expect([sent(), (await served.stats("endless")).started]).toEqual([3, 3]);
    const stranger = new OpenAI({ baseURL: served.baseURL, apiKey: "not-a-key", maxRetries: 2, fetch });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect(sent()).toBe(4);
  });

  it("tries again what may pass", async () => {
    const patient = new OpenAI({ baseURL: served.baseURL, apiKey: CLIENT_KEY, maxRetries: 2 });
    const failing = patient.chat.completions.create({ model: "failing", messages });
    await expect(failing).rejects.toMatchObject({ status: 503, code: "engine_failed" });
    expect((await served.stats("failing")).started).toBe(3);
  });
});
