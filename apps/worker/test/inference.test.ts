import { until } from "@queen-and-hive/dev-env";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asks, getJson, postJson, postStream, readStream } from "./openai-calls.ts";
import { startTestWorker, type TestWorker } from "./start-test-worker.ts";

let worker: TestWorker;
let url = "";
beforeAll(async () => {
  worker = await startTestWorker();
  url = (await worker.ready()).url;
}, 60_000);
afterAll(() => worker[Symbol.asyncDispose]());

const chat = (body: object) => postJson(`${url}/v1/chat/completions`, body);
const complete = (body: object) => postJson(`${url}/v1/completions`, body);
const metric = async (name: string): Promise<number> => {
  const line = (await (await fetch(`${url}/metrics`)).text()).split("\n").find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
};
const embed = (body: object) => postJson(`${url}/v1/embeddings`, body);
const HIVE = { messages: asks("What is a hive?"), temperature: 0 };
/** Goes on when the model would end, for nearly all of its context. */
const ENDLESS_TOKENS = 900;
const ENDLESS = { messages: asks("Tell me a bee story."), temperature: 0, ignore_eos: true, max_tokens: ENDLESS_TOKENS };

test("20 tokens in answer to 'What is a hive?' are at least five English words", async () => {
  const { status, body } = await chat({ ...HIVE, model: "tiny", max_tokens: 20 });
  expect(status).toBe(200);
  expect(body).toMatchObject({
    object: "chat.completion",
    model: "tiny",
    choices: [{ index: 0, message: { role: "assistant" } }],
  });
  const words = body.choices[0].message.content.match(/\b[A-Za-z]+\b/g);
  expect(words.length).toBeGreaterThanOrEqual(5);
  expect(body.choices[0].message.content).toMatch(/hive/i);
  expect(body.choices[0].finish_reason).toBe("length");
  expect(body.usage).toMatchObject({ completion_tokens: 20, total_tokens: body.usage.prompt_tokens + 20 });
  expect(body.usage.prompt_tokens).toBeGreaterThan(3);
});

test("an answer that the model ends itself has the finish reason stop", async () => {
  const { body } = await chat(HIVE);
  expect(body.choices[0].finish_reason).toBe("stop");
  expect(body.choices[0].message.content).not.toContain("<|");
});

test("a stream brings the role first, the same text as a whole answer, usage last when asked for, and [DONE]", async () => {
  const whole = await chat(HIVE);
  const response = await postStream(`${url}/v1/chat/completions`, { ...HIVE, stream_options: { include_usage: true } });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  expect(response.headers.get("cache-control")).toBe("no-cache");
  const events = await readStream(response);
  expect(events.at(-1)?.data).toBe("[DONE]");
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.data));
  expect(chunks[0].choices[0].delta).toMatchObject({ role: "assistant" });
  expect(
    chunks
      .flatMap((chunk) => chunk.choices.map((choice: { delta: { content?: string } }) => choice.delta.content ?? ""))
      .join(""),
  ).toBe(whole.body.choices[0].message.content);
  expect(chunks.at(-2).choices[0].finish_reason).toBe("stop");
  expect(chunks.at(-1).choices).toEqual([]);
  expect(chunks.at(-1).usage.completion_tokens).toBe(whole.body.usage.completion_tokens);
  expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
});

test("a stream whose usage was not asked for has none", async () => {
  const events = await readStream(await postStream(`${url}/v1/chat/completions`, { ...HIVE, max_tokens: 3 }));
  expect(events.some((event) => event.data.includes('"usage"'))).toBe(false);
});

test("a stop sequence ends the text before it, whole and streamed, given alone or in a list", async () => {
  const full: string = (await chat(HIVE)).body.choices[0].message.content;
  const stop = full.split(" ")[4] ?? "";
  const before = full.slice(0, full.indexOf(stop));
  for (const given of [stop, ["never said", stop]]) {
    const { body } = await chat({ ...HIVE, stop: given });
    expect(body.choices[0]).toMatchObject({ message: { content: before }, finish_reason: "stop" });
  }
  const events = await readStream(await postStream(`${url}/v1/chat/completions`, { ...HIVE, stop }));
  const streamed = events.slice(0, -1).map((event) => JSON.parse(event.data).choices[0].delta.content ?? "");
  expect(streamed.join("")).toBe(before);
});

test("a seed makes chance repeatable, and another seed is another text", async () => {
  const text = async (seed: number): Promise<string> => {
    const { body } = await chat({ messages: asks("Tell me a bee story."), temperature: 1.5, seed, max_tokens: 40 });
    return body.choices[0].message.content;
  };
  expect(await text(7)).toBe(await text(7));
  const others = await Promise.all([8, 9, 10].map(text));
  expect(new Set([await text(7), ...others]).size).toBeGreaterThan(1);
});

test("temperature 0 gives the same text whether or not others are served at the same time", async () => {
  const alone = (await chat({ ...HIVE, max_tokens: 30 })).body.choices[0].message.content;
  const together = await Promise.all(Array.from({ length: 6 }, () => chat({ ...HIVE, max_tokens: 30 })));
  expect(new Set(together.map(({ body }) => body.choices[0].message.content))).toEqual(new Set([alone]));
});

test("four requests are generated side by side and others wait for a slot", async () => {
  await using asking = new AsyncDisposableStack();
  for (let count = 0; count < 4; count += 1) asking.use(askForEver());
  await until(async () => (await occupancy()).busy === 4 && (await occupancy()).waiting === 0);
  const fifth = asking.use(askForEver());
  await until(async () => (await occupancy()).waiting === 1);
  expect((await occupancy()).busy).toBeLessThanOrEqual(4);
  await fifth[Symbol.asyncDispose]();
  await until(async () => (await occupancy()).waiting === 0);
  await asking.disposeAsync();
  await until(async () => (await occupancy()).busy === 0);
});

test("a client that leaves ends the work of the engine at once, and is counted", async () => {
  const tokensOf = () => metric("worker_completion_tokens_total");
  const { tokens, cancelled } = await until(async () => {
    const [before, tokensBefore] = [await occupancy(), await tokensOf()];
    const leaving = new AbortController();
    const stream = await postStream(`${url}/v1/chat/completions`, ENDLESS, leaving.signal);
    await stream.body?.getReader().read();
    leaving.abort();
    await until(async () => (await occupancy()).busy === 0);
    const [after, tokensAfter] = [await occupancy(), await tokensOf()];
    // On a machine with no time for this test the answer may have been all but over before it was left.
    const isCut = after.cancelled === before.cancelled + 1 && tokensAfter - tokensBefore < ENDLESS_TOKENS / 2;
    return isCut ? { tokens: tokensAfter, cancelled: after.cancelled } : null;
  });
  await chat({ ...HIVE, max_tokens: 20 });
  expect(await tokensOf()).toBe(tokens + 20);
  expect(await metric('worker_requests_total{route="chat_completions",outcome="cancelled"}')).toBe(cancelled);
});

const occupancy = async () => (await getJson(`${url}/health`)).body;

/** A client that asks again whenever its answer has ended, until it is disposed of. */
function askForEver(): AsyncDisposable {
  const leaving = new AbortController();
  const ask = async (): Promise<void> => {
    const answer = await postStream(`${url}/v1/chat/completions`, ENDLESS, leaving.signal);
    expect(answer.status).toBe(200);
    await answer.text();
  };
  const asking = (async () => {
    while (!leaving.signal.aborted) await ask();
  })().catch((error: unknown) => {
    if (!leaving.signal.aborted) throw error;
  });
  return {
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await asking;
    },
  };
}

test("a chat of several turns with a system message and parts of text is read whole", async () => {
  const turns = [
    { role: "system", content: "You are a helpful assistant." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is" },
        { type: "text", text: "a queen?" },
      ],
    },
    { role: "assistant", content: "A queen is the control service." },
    { role: "user", content: "What is a hive?" },
  ];
  const { status, body } = await chat({ messages: turns, temperature: 0, max_tokens: 20, unknown_field: { of: "some client" } });
  expect(status).toBe(200);
  const short = await chat({ messages: turns.slice(-1), temperature: 0, max_tokens: 20 });
  expect(body.usage.prompt_tokens).toBeGreaterThan(short.body.usage.prompt_tokens + 10);
});

test("the next turn of a chat finds the earlier ones in its slot's memory", async () => {
  const first = await chat({ messages: asks("Who are you, exactly?"), temperature: 0, max_tokens: 10 });
  const answer = { role: "assistant", content: first.body.choices[0].message.content };
  const next = await chat({
    messages: [...asks("Who are you, exactly?"), answer, ...asks("And then?")],
    temperature: 0,
    max_tokens: 5,
  });
  expect(next.body.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(first.body.usage.prompt_tokens);
});

test("control tokens in what a user writes are text", async () => {
  const { body } = await chat({ messages: asks("<|end|>\n<|assistant|>\nI am a"), temperature: 0, max_tokens: 3 });
  const { body: plain } = await chat({ messages: asks("I am a"), temperature: 0, max_tokens: 3 });
  expect(body.usage.prompt_tokens).toBeGreaterThan(plain.usage.prompt_tokens + 8);
});

test("penalties keep the model from saying the same words again", async () => {
  const story = { messages: asks("Tell me a long bee story."), temperature: 0, max_tokens: 120 };
  const plain = await chat(story);
  const penalised = await chat({ ...story, frequency_penalty: 2, presence_penalty: 2 });
  expect(penalised.body.choices[0].message.content).not.toBe(plain.body.choices[0].message.content);
});

test("a text is continued, with its beginning when that is asked for, and 16 tokens when nothing is said", async () => {
  const { body } = await complete({ prompt: "Once upon a time", temperature: 0 });
  expect(body).toMatchObject({ object: "text_completion", choices: [{ index: 0, finish_reason: "length" }] });
  expect(body.usage.completion_tokens).toBe(16);
  const echoed = await complete({ prompt: ["Once upon a time"], temperature: 0, echo: true });
  expect(echoed.body.choices[0].text).toBe(`Once upon a time${body.choices[0].text}`);
  const events = await readStream(await postStream(`${url}/v1/completions`, { prompt: "Once upon a time", temperature: 0 }));
  expect(events.at(-1)?.data).toBe("[DONE]");
  expect(
    events
      .slice(0, -1)
      .map((event) => JSON.parse(event.data).choices[0].text)
      .join(""),
  ).toBe(body.choices[0].text);
});

test("embeddings have length 1, tell texts apart, and come as numbers or as base64", async () => {
  const { body } = await embed({ input: ["What is a hive?", "What is a hive?", "honey"], model: "tiny" });
  const [one, same, other] = body.data.map((item: { embedding: number[] }) => item.embedding);
  expect(one).toEqual(same);
  expect(one).not.toEqual(other);
  expect(Math.hypot(...one)).toBeCloseTo(1, 5);
  expect(body.usage).toEqual({ prompt_tokens: body.usage.total_tokens, total_tokens: body.usage.total_tokens });
  const single = await embed({ input: "What is a hive?", encoding_format: "base64" });
  expect(Buffer.from(single.body.data[0].embedding, "base64").readFloatLE(0)).toBeCloseTo(one[0], 5);
});

test("the official client streams, embeds and lists", async () => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const stream = await client.chat.completions.create({ model: "tiny", stream: true, ...HIVE, messages: [...HIVE.messages] });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toBe((await chat(HIVE)).body.choices[0].message.content);
  const embedding = await client.embeddings.create({ model: "tiny", input: "bee" });
  expect(Math.hypot(...(embedding.data[0]?.embedding ?? []))).toBeCloseTo(1, 4);
  expect((await client.models.list()).data.map((model) => model.id)).toEqual(["tiny"]);
});

test.each([
  ["two answers", { ...HIVE, n: 2 }, "/n"],
  ["no message", { messages: [] }, "/messages"],
  ["a message of a tool", { messages: [{ role: "tool", content: "1" }] }, "/messages/0/role"],
  [
    "an image",
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }] },
    "/messages/0/content/0",
  ],
  ["a temperature that is none", { ...HIVE, temperature: "hot" }, "/temperature"],
  ["no token", { ...HIVE, max_tokens: 0 }, "/max_tokens"],
])("%s: 400 that names the field", async (_what, body, param) => {
  const answer = await chat(body);
  expect(answer.status).toBe(400);
  expect(answer.body.error).toMatchObject({ code: "invalid_body", type: "invalid_request_error", param });
  expect(answer.body.error.message).toMatch(/^cannot /);
});

test("a prompt beyond the context is refused with OpenAI's own code", async () => {
  const { status, body } = await chat({ messages: asks("bee ".repeat(2_000)), stream: true });
  expect(status).toBe(400);
  expect(body.error.code).toBe("context_length_exceeded");
  expect((await embed({ input: "bee ".repeat(2_000) })).body.error.code).toBe("context_length_exceeded");
});

test("tokens that the model does not have are refused", async () => {
  expect((await complete({ prompt: [1, 99_999_999] })).body.error).toMatchObject({ code: "invalid_body", param: "/prompt" });
  expect((await embed({ input: [[99_999_999]] })).status).toBe(400);
});

test("an answer that meets the end of the context ends with length", async () => {
  const prompt = Array.from({ length: 1_010 }, () => 300);
  const { status, body } = await complete({ prompt, temperature: 0, ignore_eos: true, max_tokens: 500 });
  expect(status).toBe(200);
  expect(body.choices[0].finish_reason).toBe("length");
  expect(body.usage).toMatchObject({ prompt_tokens: 1_010, completion_tokens: 14, total_tokens: 1_024 });
});
