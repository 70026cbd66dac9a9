import Anthropic from "@anthropic-ai/sdk";
import { until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENT_KEY, type Served, startServed } from "./served.ts";

const asked = { model: "claude-sonnet", max_tokens: 100, messages: [{ role: "user" as const, content: "What is a hive?" }] };
const WORDS = "the bees of this hive carry words from";
const weather = {
  name: "weather",
  input_schema: { type: "object" as const, properties: { city: { type: "string" }, days: { type: "integer" } } },
};

let served: Served;
let client: Anthropic;

beforeAll(async () => {
  served = await startServed();
  client = new Anthropic({ baseURL: served.queen.url, apiKey: CLIENT_KEY, maxRetries: 0 });
});
afterAll(async () => await served?.[Symbol.asyncDispose]());

describe("Anthropic's client on /v1/messages", () => {
  it("gets a message by an alias, its key being the queen's", async () => {
    const message = await client.messages.create(asked);
    expect(message.content).toEqual([{ type: "text", text: WORDS }]);
    expect(message).toMatchObject({ stop_reason: "end_turn", usage: { output_tokens: 8 } });
    const last = (await served.stats("chat")).last.at(-1);
    expect(last?.headers).toMatchObject({ "anthropic-version": expect.stringMatching(/^20/) });
    expect(JSON.stringify(last?.headers)).not.toContain(CLIENT_KEY);
  });

  it("streams text and the call of a tool", async () => {
    const text = client.messages.stream(asked);
    expect(await text.finalText()).toBe(WORDS);
    expect((await text.finalMessage()).usage.output_tokens).toBe(8);
    const called = await client.messages.stream({ ...asked, tools: [weather] }).finalMessage();
    expect(called.content).toMatchObject([{ type: "tool_use", name: "weather", input: { city: "bees", days: 7 } }]);
    const result = { type: "tool_result" as const, tool_use_id: "toolu_fake", content: "sunny" };
    const messages = [
      ...asked.messages,
      { role: "assistant" as const, content: called.content },
      { role: "user" as const, content: [result] },
    ];
    expect((await client.messages.create({ ...asked, messages, tools: [weather] })).content).toMatchObject([
      { type: "text", text: WORDS },
    ]);
  });

  it("sees refusals as its typed errors", async () => {
    await expect(client.messages.create({ ...asked, model: "nobody" })).rejects.toBeInstanceOf(Anthropic.NotFoundError);
    const mismatch = client.messages.create({ ...asked, model: "vectors" });
    await expect(mismatch).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    await expect(mismatch).rejects.toMatchObject({ type: "invalid_request_error", error: { error: { code: "task_mismatch" } } });
    const stranger = new Anthropic({ baseURL: served.queen.url, apiKey: "not-a-key", maxRetries: 0 });
    await expect(stranger.messages.create(asked)).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
  });

  it("sees an operator's end of a stream as an error, and the engine stops", async () => {
    const stream = await client.messages.create(
      { ...asked, model: "endless", stream: true },
      { headers: { "x-request-id": "one" } },
    );
    const read = (async () => {
      for await (const _ of stream);
    })();
    await until(async () => (await served.stats("endless")).open_now === 1, 20_000, "it streams");
    await served.queen.peer.call(QUEEN_ENDPOINTS.deleteRequest, { params: { request_id: "one" } });
    await expect(read).rejects.toThrow(/an operator has cancelled the request/);
    await until(async () => (await served.stats("endless")).cancelled === 1, 20_000, "the engine has stopped");
  });

  it("aborts, and the engine stops", async () => {
    const stream = client.messages.stream({ ...asked, model: "endless" });
    stream.on("error", () => undefined);
    stream.once("text", () => stream.abort());
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIUserAbortError);
    await until(async () => (await served.stats("endless")).cancelled === 2, 20_000, "the engine has stopped");
  });
});
