import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  expectNoProcesses,
  freePort,
  freePortRange,
  killAtExit,
  metricOf,
  processesOf,
  REPOSITORY,
  startProgram,
  temporaryDirectory,
  testEnvironment,
  until,
} from "@queen-and-hive/dev-env";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, chat, contentOf, dataOf, openStream } from "./ask.ts";

/** What the issue promises for a warm cache, from the command to the end of the first chat. */
const FIRST_CHAT_WITHIN_MS = 10_000;
/** Where other tests share the machine, only a hang is a failure; the bench measures. */
const PATIENCE = 6;

const cleanup = new AsyncDisposableStack();
let url = "";
let folder = "";
let program: Awaited<ReturnType<typeof startProgram>>;

/** What `npm start` runs, with the repository's own queen.yaml; only addresses and the home directory are the test's. */
beforeAll(async () => {
  const home = cleanup.use(await temporaryDirectory("qh-start"));
  cleanup.use(killAtExit(home.path));
  cleanup.defer(() => expectNoProcesses({ folder: home.path }));
  folder = home.path;
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const { scripts }: { scripts: { start: string } } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8"));
  const env = testEnvironment(home.path, {
    QUEEN_LISTEN: `127.0.0.1:${port}`,
    QUEEN_DEFAULTS__HIVE__LISTEN: `127.0.0.1:${await freePort()}`,
    QUEEN_DEFAULTS__HIVE__WORKER_PORTS: (await freePortRange(20)).text,
  });
  const words = scripts.start.split(" ").map((word) => (word === "node" ? process.execPath : word));
  program = cleanup.use(await startProgram(words, { env, cwd: REPOSITORY, logFile: home.join("start.log") }));
}, 60_000);

afterAll(() => cleanup[Symbol.asyncDispose]());

test("`npm start` answers its first chat soon, streamed, in readable English, from a real model", async () => {
  const started = performance.now();
  await until(async () => (await fetch(`${url}/livez`)).ok, 60_000, "the queen to listen");
  const stream = await openStream(url, chat("tiny", { stream: true, temperature: 0, max_tokens: 20 }));
  const text = await stream.whole;
  expect(performance.now() - started).toBeLessThan(FIRST_CHAT_WITHIN_MS * PATIENCE);
  expect(stream.status).toBe(200);
  expect(dataOf(text).at(-1)).toBe("[DONE]");
  expect(dataOf(text).length).toBeGreaterThan(5);
  expectEnglish(contentOf(text));
}, 90_000);

test("the official openai client chats, streams and lists the models, also by alias", async () => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none is asked for", maxRetries: 0 });
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  expect(models).toContain("tiny");
  const messages = [{ role: "user" as const, content: "What is a hive?" }];
  const whole = await client.chat.completions.create({ model: "default", messages, temperature: 0 });
  expectEnglish(whole.choices[0]?.message.content ?? "");
  expect(whole.usage?.completion_tokens).toBeGreaterThan(5);
  let streamed = "";
  const events = await client.chat.completions.create({ model: "tiny", messages, temperature: 0, stream: true });
  for await (const event of events) streamed += event.choices[0]?.delta.content ?? "";
  expect(streamed).toBe(whole.choices[0]?.message.content);
  const completion = await client.completions.create({ model: "tiny", prompt: "Once upon a time", max_tokens: 8 });
  expect(completion.choices[0]?.text.length).toBeGreaterThan(0);
  const embedding = await client.embeddings.create({ model: "tiny", input: "a bee" });
  expect(embedding.data[0]?.embedding.length).toBeGreaterThan(8);
  await expect(client.chat.completions.create({ model: "nobody", messages })).rejects.toMatchObject({
    status: 404,
    code: "model_not_found",
    message: expect.stringContaining("tiny"),
  });
}, 60_000);

test("the queen asked nobody whether the worker is ready, and says whose process it is", async () => {
  expect(await metricOf(url, "queen_ready_fallback_polls_total")).toBe(0);
  const { workers } = JSON.parse((await ask(url, { method: "GET", path: "/v2/workers" })).text);
  expect(workers).toMatchObject([{ model: "tiny", runtime: "embedded", state: "ready", hive_id: "local" }]);
  expect(processesOf({ folder }).map(({ identity }) => identity.pid)).toContain(workers[0].pid);
});

test("a signal to it ends everything with exit code 0", async () => {
  program.send("SIGTERM");
  expect(await program.ended(60_000)).toEqual({ code: 0, signal: null });
  await expectNoProcesses({ folder });
}, 90_000);

function expectEnglish(text: string): void {
  const words = text.match(/\b[A-Za-z]+\b/g) ?? [];
  expect(words.length, text).toBeGreaterThanOrEqual(5);
  expect(text).toMatch(/\b(hive|hives|bee|bees|worker|workers)\b/i);
  expect(text).toMatch(/^[A-Za-z0-9 .,'"!?:;-]+$/);
}
