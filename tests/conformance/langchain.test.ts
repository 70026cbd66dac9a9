import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { until } from "@queen-and-hive/dev-env";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENT_KEY, type Served, startServed } from "./served.ts";

const WORDS = "the bees of this hive carry words from";
const question = [new HumanMessage("What is a hive?")];

let served: Served;

beforeAll(async () => {
  served = await startServed();
});
afterAll(async () => await served?.[Symbol.asyncDispose]());

const chat = (model: string) =>
  new ChatOpenAI({ model, apiKey: CLIENT_KEY, maxRetries: 0, configuration: { baseURL: served.baseURL } });

describe("LangChain", () => {
  it("invokes and streams a chat", async () => {
    const answer = await chat("gpt-4o").invoke(question);
    expect([answer.text, answer.usage_metadata?.output_tokens]).toEqual([WORDS, 8]);
    let text = "";
    for await (const chunk of await chat("chat").stream(question)) text += chunk.text;
    expect(text).toBe(WORDS);
  });

  it("has tools called and gets structured output", async () => {
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const tools = [{ type: "function" as const, function: { name: "weather", parameters } }];
    const called = await chat("chat").bindTools(tools).invoke(question);
    expect(called.tool_calls).toMatchObject([{ name: "weather", args: { city: "bees" } }]);
    const schema = { title: "hive", type: "object", properties: { queen: { type: "string" } }, required: ["queen"] };
    const structured = chat("chat").withStructuredOutput<{ queen: string }>(schema, { method: "jsonSchema" });
    expect(await structured.invoke(question)).toEqual({ queen: "bees" });
  });

  it("embeds documents", async () => {
    const embeddings = new OpenAIEmbeddings({ model: "vectors", apiKey: CLIENT_KEY, configuration: { baseURL: served.baseURL } });
    expect((await embeddings.embedDocuments(["a", "b"])).map((vector) => vector.length)).toEqual([8, 8]);
  });

  it("sees refusals, and stops the engine when it aborts", async () => {
    await expect(chat("nobody").invoke(question)).rejects.toThrow(/cannot find the model "nobody"/);
    const abort = new AbortController();
    const read = (async () => {
      for await (const _ of await chat("endless").stream(question, { signal: abort.signal })) abort.abort();
    })();
    await expect(read).rejects.toThrow(/abort/i);
    await until(async () => (await served.stats("endless")).cancelled === 1, 20_000, "the engine has stopped");
  });
});
