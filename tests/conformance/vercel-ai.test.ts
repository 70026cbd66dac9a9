import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { until } from "@queen-and-hive/dev-env";
import { APICallError, embedMany, generateText, jsonSchema, Output, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLIENT_KEY, countingFetch, type Served, startServed } from "./served.ts";

const WORDS = "the bees of this hive carry words from";
const prompt = "What is a hive?";

let served: Served;
let provider: ReturnType<typeof createOpenAICompatible>;
const { fetch, sent } = countingFetch();

beforeAll(async () => {
  served = await startServed();
  provider = createOpenAICompatible({
    name: "queen",
    baseURL: served.baseURL,
    apiKey: CLIENT_KEY,
    fetch,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
});
afterAll(async () => await served?.[Symbol.asyncDispose]());

describe("Vercel's ai", () => {
  it("generates and streams text with usage", async () => {
    const whole = await generateText({ model: provider("gpt-4o"), prompt });
    expect([whole.text, whole.usage.outputTokens, whole.finishReason]).toEqual([WORDS, 8, "stop"]);
    const streamed = streamText({ model: provider("chat"), prompt });
    let text = "";
    for await (const part of streamed.textStream) text += part;
    expect([text, (await streamed.usage).outputTokens]).toEqual([WORDS, 8]);
  });

  it("has a tool run and its result answered", async () => {
    const inputSchema = jsonSchema<{ city: string }>({ type: "object", properties: { city: { type: "string" } } });
    const cities: string[] = [];
    const weather = tool({
      inputSchema,
      execute: ({ city }) => {
        cities.push(city);
        return "sunny";
      },
    });
    const called = await generateText({ model: provider("chat"), prompt, tools: { weather } });
    expect([cities, called.toolResults.map(({ output }) => output)]).toEqual([["bees"], ["sunny"]]);
    const streamed = streamText({ model: provider("chat"), prompt, tools: { weather } });
    expect((await streamed.toolCalls).map(({ toolName, input }) => [toolName, input])).toEqual([["weather", { city: "bees" }]]);
  });

  it("gets an object by a schema, and vectors", async () => {
    const schema = jsonSchema<{ queen: string }>({ type: "object", properties: { queen: { type: "string" } } });
    const { output } = await generateText({ model: provider("chat"), prompt, output: Output.object({ schema }) });
    expect(output).toEqual({ queen: "bees" });
    const { embeddings } = await embedMany({ model: provider.embeddingModel("vectors"), values: ["a", "b"] });
    expect(embeddings.map((vector) => vector.length)).toEqual([8, 8]);
  });

  it("sees refusals with their status, once, and stops the engine when it aborts", async () => {
    const before = sent();
    const refused = generateText({ model: provider("nobody"), prompt, maxRetries: 2 });
    await expect(refused).rejects.toSatisfy((error) => APICallError.isInstance(error) && error.statusCode === 404);
    expect(sent()).toBe(before + 1);
    const abort = new AbortController();
    const streamed = streamText({ model: provider("endless"), prompt, abortSignal: abort.signal, onError: () => undefined });
    for await (const _ of streamed.textStream) abort.abort();
    await until(async () => (await served.stats("endless")).cancelled === 1, 20_000, "the engine has stopped");
  });
});
